// One picture on the stage of the single view: its layers from a blur to the original, and how it lies.
//
// Called by the single view (which picture) and by gestures (what is done with it). The arithmetic is
// zoom.js's. It knows nothing of neighbours, keys or panels.

/** @import {Rec} from "./record.js" */
/** @import {Lie, Point, Size} from "./zoom.js" */
import * as api from "./api.js";
import { Fitted } from "./fitted.js";
import { decode } from "./thumbhash.js";
import * as zoom from "./zoom.js";

/** The longer side of `display`. */
const DISPLAY = 2560;

// What every browser shows as it is; more pixels than this it may not be able to hold.
const SHOWN_AS_IS = ["image/jpeg", "image/png", "image/webp", "image/gif"];
const MOST_PIXELS = 120e6;

/**
 * @typedef {object} StageHooks
 * @property {(rec: Rec) => void} shown that `display` is to be seen
 * @property {(rec: Rec, reason: api.Refusal) => void} failed
 * @property {() => void} lies that it lies otherwise now
 */

export class Stage {
  /** @type {Rec|null} */
  rec = null;
  /** @type {Lie} */
  lie = { scale: 1, x: 0, y: 0, turns: 0 };
  /** @type {HTMLElement} */
  #frame = document.createElement("div");
  /** @type {HTMLImageElement|null} */
  #display = null;
  /** @type {HTMLImageElement|null} */
  #original = null;
  #fitted = new Fitted();
  /** @type {Size} */
  #size = { width: 1, height: 1 };
  #isFit = true;

  /** @param {HTMLElement} element @param {HTMLElement} lens @param {StageHooks} hooks */
  constructor(element, lens, hooks) {
    this.element = element;
    this.lens = lens;
    this.hooks = hooks;
    new ResizeObserver(() => {
      if (this.#isFit) this.fit();
      else this.#lay(zoom.held(this.lie, this.#size, this.#room));
    }).observe(element);
  }

  /** @returns {Size} */
  get #room() {
    return { width: this.element.clientWidth, height: this.element.clientHeight };
  }

  /** CSS pixels of one of the picture's at 100 %. */
  get #whole() {
    return 1 / devicePixelRatio;
  }

  get isZoomed() {
    return this.rec !== null && zoom.isZoomed(this.lie, this.#size, this.#room, this.#whole);
  }

  /** How large it is shown, in hundredths of its own pixels. */
  get percent() {
    return Math.round((this.lie.scale / this.#whole) * 100);
  }

  clear() {
    this.rec = null;
    this.#display = null;
    this.#original = null;
    this.#frame.remove();
    this.loupe(null);
  }

  /**
   * Shows a picture.
   * @param {Rec} rec
   * @param {HTMLImageElement} display its element, which loads or has loaded
   */
  show(rec, display) {
    this.clear();
    this.rec = rec;
    this.#display = display;
    const frame = document.createElement("div");
    frame.className = "frame";
    frame.dataset.shown = String(rec.id);
    this.#frame = frame;
    const isReady = display.complete && display.naturalWidth > 0;
    this.#size = sizeOf(rec, display);
    if (isReady) {
      frame.append(display);
    } else if (!rec.fault) {
      this.#meanwhile(rec, frame);
    }
    this.element.append(frame);
    this.fit();
    if (isReady) this.#fitted.cover(frame, display, onScreen(this.#size, this.lie));
    if (rec.fault) return;
    if (isReady) this.hooks.shown(rec);
    else void this.#arrive(rec, display);
  }

  /**
   * Draws a neighbour in the size in which it will lie.
   * @param {Rec} rec
   * @param {HTMLImageElement} display its element, decoded
   */
  prepare(rec, display) {
    const size = sizeOf(rec, display);
    this.#fitted.draw(rec, display, onScreen(size, zoom.fit(size, this.#room, 0, this.#whole)));
  }

  /** What is to be seen until `display` is there. @param {Rec} rec @param {HTMLElement} frame */
  #meanwhile(rec, frame) {
    const blur = rec.placeholder ? decode(rec.placeholder) : null;
    if (blur) {
      const canvas = document.createElement("canvas");
      canvas.width = blur.width;
      canvas.height = blur.height;
      canvas.getContext("2d")?.putImageData(new ImageData(blur.pixels, blur.width), 0, 0);
      frame.append(canvas);
    }
    // The wall has shown it: the browser has it at hand.
    const small = document.createElement("img");
    small.alt = "";
    small.draggable = false;
    small.src = api.picture(rec, "512");
    frame.append(small);
  }

  /** @param {Rec} rec @param {HTMLImageElement} display */
  async #arrive(rec, display) {
    try {
      await display.decode();
    } catch {
      const reason = await api.why(rec, "display");
      if (this.rec === rec) this.hooks.failed(rec, reason ?? new api.Refusal(0, "unreachable", "", null));
      return;
    }
    if (this.rec !== rec) return;
    const before = this.#size;
    this.#size = sizeOf(rec, display);
    this.#frame.replaceChildren(display);
    if (before.width !== this.#size.width || before.height !== this.#size.height) this.fit();
    this.hooks.shown(rec);
    this.#sharpen(this.lie.scale);
  }

  /** Past the pixels of `display` the original is shown, where browsers can. @param {number} scale */
  #sharpen(scale) {
    const { rec } = this;
    if (!rec || this.#original || !this.#display?.isConnected) return;
    const longest = Math.max(this.#size.width, this.#size.height);
    const isEnough = longest <= DISPLAY || scale * devicePixelRatio * longest <= DISPLAY * 1.05;
    const isLarge = this.#size.width * this.#size.height > MOST_PIXELS;
    if (isEnough || isLarge || !SHOWN_AS_IS.includes(rec.type)) return;
    const original = document.createElement("img");
    this.#original = original;
    original.alt = "";
    original.draggable = false;
    original.src = api.picture(rec, "original");
    original.dataset.layer = "original";
    original.decode().then(
      () => {
        if (this.rec !== rec) return;
        this.#fitted.uncover(this.#frame);
        this.#frame.replaceChildren(original);
      },
      () => {
        // `display` stays: it is all that there is.
      },
    );
  }

  /** @param {Lie} lie @param {boolean} [isSmooth] */
  #lay(lie, isSmooth = false) {
    this.lie = lie;
    this.#isFit = !this.isZoomed;
    const { width, height } = this.#size;
    const { width: roomX, height: roomY } = this.#room;
    const w = width * lie.scale;
    const h = height * lie.scale;
    const { style } = this.#frame;
    this.#frame.classList.toggle("smooth", isSmooth);
    style.width = `${w}px`;
    style.height = `${h}px`;
    style.transform = `translate(${(roomX - w) / 2 + lie.x}px, ${(roomY - h) / 2 + lie.y}px) rotate(${lie.turns * 90}deg)`;
    this.#fitted.uncover(this.#frame, onScreen(this.#size, lie));
    this.element.toggleAttribute("data-zoomed", !this.#isFit);
    this.#sharpen(lie.scale);
    this.hooks.lies();
  }

  fit(isSmooth = false) {
    if (this.rec) this.#lay(zoom.fit(this.#size, this.#room, this.lie.turns, this.#whole), isSmooth);
  }

  /**
   * Zooms by a factor at a point from the stage's middle.
   * @param {number} factor
   * @param {Point} [at]
   * @param {boolean} [isSmooth]
   */
  zoomBy(factor, at = { x: 0, y: 0 }, isSmooth = false) {
    if (!this.rec || this.rec.fault) return;
    this.#lay(zoom.zoomAt(this.lie, this.lie.scale * factor, at, this.#size, this.#room, this.#whole), isSmooth);
  }

  /** All of it, or its own pixels. @param {Point} [at] */
  toggle(at = { x: 0, y: 0 }) {
    if (!this.rec || this.rec.fault) return;
    if (this.isZoomed) return this.fit(true);
    const own = zoom.fitScale(this.#size, this.#room, this.lie.turns, this.#whole);
    // A picture that is smaller than the stage shows its own pixels already: then twice.
    const scale = own >= this.#whole * 0.95 ? this.#whole * 2 : this.#whole;
    this.#lay(zoom.zoomAt(this.lie, scale, at, this.#size, this.#room, this.#whole), true);
  }

  /** @param {Point} by */
  panBy(by) {
    if (this.rec) this.#lay(zoom.panBy(this.lie, by, this.#size, this.#room));
  }

  /** For looking only: nothing of it is kept. @param {1|-1} way */
  rotate(way) {
    this.lie = { ...this.lie, turns: (this.lie.turns + way + 4) % 4 };
    this.fit();
  }

  upright() {
    this.lie = { ...this.lie, turns: 0 };
  }

  /** Moves all of it along with a finger. @param {Point} by @param {number} opacity */
  drag(by, opacity) {
    this.#frame.style.translate = by.x || by.y ? `${by.x}px ${by.y}px` : "";
    this.#frame.style.opacity = opacity < 1 ? String(opacity) : "";
  }

  /**
   * Holds a loupe over a point from the stage's middle, or takes it away.
   * @param {Point|null} at
   */
  loupe(at) {
    const from = this.#original?.isConnected ? this.#original : this.#display;
    this.lens.hidden = at === null || !from?.isConnected;
    if (!at || !from || this.lens.hidden) {
      this.lens.replaceChildren();
      return;
    }
    let picture = /** @type {HTMLImageElement|null} */ (this.lens.firstElementChild);
    if (picture?.src !== from.src) {
      picture = /** @type {HTMLImageElement} */ (from.cloneNode());
      this.lens.replaceChildren(picture);
    }
    // Its own pixels, and never less than twice what is seen around it.
    const scale = Math.max(this.#whole, this.lie.scale * 2);
    this.#sharpen(scale);
    const { x, y } = zoom.loupeAt(this.lie, scale, at);
    const w = this.#size.width * scale;
    const h = this.#size.height * scale;
    const { width, height } = this.#room;
    const side = this.lens.offsetWidth;
    const { style } = picture;
    style.width = `${w}px`;
    style.height = `${h}px`;
    style.transform = `translate(${(this.lens.clientWidth - w) / 2 + x}px, ${(this.lens.clientHeight - h) / 2 + y}px) rotate(${this.lie.turns * 90}deg)`;
    this.lens.style.transform = `translate(${width / 2 + at.x - side / 2}px, ${height / 2 + at.y - side / 2}px)`;
  }
}

/**
 * The pixels of the screen that it takes.
 * @param {Size} size
 * @param {Lie} lie
 * @returns {Size}
 */
function onScreen(size, lie) {
  const scale = lie.scale * devicePixelRatio;
  return { width: Math.round(size.width * scale), height: Math.round(size.height * scale) };
}

/**
 * Its own sides, as they are looked at. Where the record has none, what came tells them.
 * @param {Rec} rec
 * @param {HTMLImageElement} display
 * @returns {Size}
 */
function sizeOf(rec, display) {
  if (rec.width > 0 && rec.height > 0) return { width: rec.width, height: rec.height };
  return { width: display.naturalWidth || 800, height: display.naturalHeight || 800 };
}
