// One tile of the grid: its ground, its picture, its mark of selection; used again for other images.
//
// Called by the grid alone. It shows the ThumbHash at once, asks for the picture when the grid says so,
// and what cannot be shown as its type with a way to download it. It decides nothing of where it stands.

/** @import {Rec} from "./record.js" */
/** @import {Box} from "./layout.js" */
import * as api from "./api.js";
import { icon } from "./part.js";
import { shown, typeName } from "./record.js";
import { moment, say } from "./texts.js";
import { decode } from "./thumbhash.js";

/**
 * @typedef {object} Hooks
 * @property {(rec: Rec) => void} fault that it cannot be shown, by the repository's word
 * @property {() => void} first that a picture is to be seen
 */

// After a passing fault the picture is asked for once more: after this long, and each time after twice as long.
const AGAIN = 2000;
const AGAIN_AT_MOST = 60_000;

export class Tile {
  /** @type {Rec|null} */
  rec = null;
  index = -1;
  /** @type {Box} */
  box = { x: 0, y: 0, width: 0, height: 0 };
  /** What the element shows or asks for. */
  #address = "";
  #timer = 0;
  #tries = 0;

  /** @param {Hooks} hooks */
  constructor(hooks) {
    this.hooks = hooks;
    this.element = document.createElement("div");
    this.element.className = "tile";
    this.element.setAttribute("role", "option");
    this.element.tabIndex = -1;
    this.blur = document.createElement("canvas");
    this.blur.setAttribute("aria-hidden", "true");
    this.picture = this.#newPicture();
    this.mark = document.createElement("span");
    this.mark.className = "mark-selected";
    this.mark.dataset.mark = "";
    this.mark.append(icon("check"));
    this.element.append(this.blur, this.picture, this.mark);
    /** @type {HTMLElement|null} */
    this.instead = null;
  }

  #newPicture() {
    const picture = document.createElement("img");
    picture.alt = "";
    picture.decoding = "async";
    picture.draggable = false;
    picture.addEventListener("load", () => {
      this.element.dataset.picture = "shown";
      this.hooks.first();
    });
    picture.addEventListener("error", () => void this.#failed());
    return picture;
  }

  /**
   * Shows an image's ground and name; the picture comes with `load`.
   * @param {Rec} rec
   */
  take(rec) {
    if (this.rec !== rec) {
      this.rec = rec;
      this.#drop();
      this.element.dataset.image = String(rec.id);
      const blur = rec.placeholder ? decode(rec.placeholder) : null;
      this.blur.hidden = blur === null;
      if (blur) {
        this.blur.width = blur.width;
        this.blur.height = blur.height;
        this.blur.getContext("2d")?.putImageData(new ImageData(blur.pixels, blur.width), 0, 0);
      }
    }
    this.name();
  }

  /** What a screen reader and a pointer tell of it. */
  name() {
    const { rec, element } = this;
    if (!rec) return;
    const name = shown(rec.name);
    element.title = name;
    const told = { name, by: shown(rec.uploader), at: moment(rec.at) };
    const label = rec.fault ? say("tile.fault", { ...told, type: typeName(rec) }) : say("tile", told);
    element.setAttribute("aria-label", label);
    this.#insteadOfPicture();
  }

  /** @param {Box} box @param {{x: number, top: number}} day that it stands in */
  place(box, day) {
    const { style } = this.element;
    style.left = `${box.x - day.x}px`;
    style.top = `${box.y - day.top}px`;
    style.width = `${box.width}px`;
    style.height = `${box.height}px`;
    this.box = box;
  }

  /** Asks for the picture in the size that it needs here. */
  load() {
    const { rec } = this;
    if (!rec || rec.fault) return;
    const longest = Math.max(this.box.width, this.box.height, longSide(rec, this.box)) * devicePixelRatio;
    // A little short of sharp is not seen, and is a quarter of the bytes.
    const address = api.picture(rec, longest <= 290 ? "256" : "512");
    if (address === this.#address) return;
    clearTimeout(this.#timer);
    this.#address = address;
    this.picture.src = address;
    // Kept by the browser: to be seen without coming in slowly.
    if (this.picture.complete && this.picture.naturalWidth > 0) this.element.dataset.picture = "shown";
  }

  async #failed() {
    const { rec } = this;
    if (!rec || !this.#address) return;
    this.element.dataset.picture = "failed";
    const failed = this.#address;
    const reason = await api.why(rec, "256");
    if (this.rec !== rec || this.#address !== failed) return;
    if (reason && !reason.isPassing && reason.status !== 401) {
      if (reason.status === 422 || reason.code === "not_viewable") this.hooks.fault(rec);
      return;
    }
    this.#timer = window.setTimeout(() => this.again(), Math.min(AGAIN_AT_MOST, AGAIN * 2 ** this.#tries));
    this.#tries += 1;
  }

  /** Asks once more for a picture that did not come. */
  again() {
    if (this.element.dataset.picture !== "failed") return;
    clearTimeout(this.#timer);
    this.#address = "";
    this.load();
  }

  /** What cannot be shown: its type, its name, and a way to have it. */
  #insteadOfPicture() {
    const { rec } = this;
    if (!rec || !rec.fault) {
      this.instead?.remove();
      this.instead = null;
      return;
    }
    if (!this.instead) {
      this.instead = document.createElement("span");
      this.instead.className = "instead";
      const type = document.createElement("b");
      const name = document.createElement("bdi");
      const save = document.createElement("span");
      save.className = "save";
      save.dataset.download = "";
      save.append(icon("download"));
      this.instead.append(type, " ", name, save);
      this.mark.before(this.instead);
    }
    const [type, name, save] = this.instead.children;
    type.textContent = typeName(rec);
    name.textContent = shown(rec.name);
    save.setAttribute("title", say("download"));
    this.blur.hidden = true;
  }

  /** Stops asking for a picture that is not looked at any more. */
  #drop() {
    clearTimeout(this.#timer);
    this.#tries = 0;
    delete this.element.dataset.picture;
    if (this.#address === "") return;
    this.#address = "";
    this.picture.removeAttribute("src");
  }

  /** Gives the element up for another image. */
  leave() {
    this.element.remove();
    this.#drop();
    this.rec = null;
    this.index = -1;
  }
}

/**
 * A picture that is cut to its tile is longer than it.
 * @param {Rec} rec
 * @param {Box} box
 */
function longSide(rec, box) {
  if (!rec.width || !rec.height) return 0;
  const scale = Math.max(box.width / rec.width, box.height / rec.height);
  return Math.min(Math.max(rec.width, rec.height) * scale, Math.max(box.width, box.height) * 2);
}
