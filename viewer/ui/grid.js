// The wall of images: days, rows and tiles as far as they are looked at, and no more elements than that.
//
// The one owner of what stands in #wall. Main tells it what changed and how it is steered; it asks the
// catalog for more and says what was done with an image (`GridHooks`). It never asks the repository.

/** @import {Catalog} from "./catalog.js" */
/** @import {Selection} from "./selection.js" */
import { Layout, sizesFor } from "./layout.js";
import { part } from "./part.js";
import { Tiles } from "./tiles.js";

/**
 * @typedef {object} GridHooks
 * @property {() => void} first that the first picture is to be seen
 * @property {(isScrolled: boolean) => void} scrolled whether something stands above what is seen
 */

// Half a screen above and below is kept ready, so that slow scrolling never shows a bare tile.
const READY = 0.5;
// Nearer to the top than this, in pixels, one looks at the newest, and what is new is shown at once.
const NEAR_TOP = 40;
// Faster than this, in screens a second, pictures are not asked for: nobody could see them.
const FAST = 4;

export class Grid {
  #wall = part("wall");
  #grid = part("grid");
  #layout = new Layout(sizesFor(1000));
  /** @type {Tiles} */
  #tiles;
  #frame = 0;
  #settle = 0;
  /** Asked of the element only when it may have changed: asking makes the browser lay the page. */
  #screen = 0;
  #lastTop = 0;
  #lastTime = 0;
  #isFast = false;
  #isStale = false;
  #height = -1;
  #laid = -1;
  /** The image that keys act on; it stays in the page while it has the focus. @type {number|null} */
  active = null;

  /**
   * @param {Catalog} catalog
   * @param {Selection} selection
   * @param {GridHooks} hooks
   */
  constructor(catalog, selection, hooks) {
    this.catalog = catalog;
    this.selection = selection;
    this.hooks = hooks;
    this.#tiles = new Tiles(catalog, selection, () => hooks.first());
    this.#wall.addEventListener("scroll", () => this.#scrolled(), { passive: true });
    new ResizeObserver(() => this.#resized()).observe(this.#wall);
    this.#grid.addEventListener("focusin", (event) => {
      const tile = this.#tiles.at(event.target);
      if (tile?.rec) this.#activate(tile.rec.id);
    });
    catalog.listen((change) => {
      if (change.kind === "appended") this.#extend();
      else if (change.kind === "reset") this.#reset();
      else if (change.kind === "changed") this.#changed();
      else if (change.kind === "record") this.#tiles.get(change.rec.id)?.take(change.rec);
    });
  }

  get #width() {
    const style = getComputedStyle(this.#grid);
    return this.#grid.clientWidth - parseFloat(style.paddingLeft) - parseFloat(style.paddingRight);
  }

  /** The image whose tile an event meets. @param {EventTarget|null} target */
  imageOf(target) {
    return this.#tiles.at(target)?.rec ?? null;
  }

  #reset() {
    this.#isStale = false;
    this.#screen = this.#wall.clientHeight;
    this.#layout = new Layout(sizesFor(this.#width));
    this.#layout.extend(this.catalog.records);
    this.#wall.scrollTop = 0;
    this.selection.forget((id) => this.catalog.get(id) !== undefined);
    if (this.active !== null && !this.catalog.get(this.active)) this.active = null;
    this.#draw();
  }

  /** A hundred changes in one frame are laid once. */
  #changed() {
    this.#isStale = true;
    this.#soon();
  }

  /** Whatever asks where images stand, asks this first. */
  #settleLayout() {
    if (this.#isStale) this.#relay();
  }

  #extend() {
    if (this.#isStale) return this.#soon();
    this.#layout.extend(this.catalog.records);
    this.#soon();
  }

  #resized() {
    this.#screen = this.#wall.clientHeight;
    const sizes = sizesFor(this.#width);
    if (sizes.width === this.#layout.sizes.width) this.#soon();
    else if (sizes.width > 0) this.#relay();
  }

  /** Lays everything anew; what is looked at stays where it is on the screen. */
  #relay() {
    this.#isStale = false;
    const { records } = this.catalog;
    const top = this.#wall.scrollTop;
    const row = this.#layout.rows[this.#layout.rowAt(top + this.#layout.sizes.heading)];
    const anchor = row ? this.#tiles.idOf(row.first) : null;
    this.#layout = new Layout(sizesFor(this.#width));
    this.#layout.extend(records);
    this.selection.forget((id) => this.catalog.get(id) !== undefined);
    if (row && records.length > 0 && top > NEAR_TOP) {
      const found = anchor === null ? -1 : this.catalog.indexOf(anchor);
      const index = found >= 0 ? found : Math.min(row.first, records.length - 1);
      const now = this.#layout.rows[this.#layout.rowOf(index)];
      this.#setHeight();
      this.#wall.scrollTop = top + now.top - row.top;
    }
    this.#draw();
  }

  #setHeight() {
    const laid = this.#layout.height;
    const { total, records } = this.catalog;
    // What was not read yet is taken to be as high as what was.
    const rest = total !== null && records.length > 0 ? Math.max(0, total - records.length) : 0;
    const more = rest > 0 ? (laid / records.length) * rest : this.catalog.isWhole ? 0 : laid ? 400 : 0;
    const height = Math.ceil(laid + more);
    if (height === this.#height && laid === this.#laid) return;
    this.#height = height;
    this.#laid = laid;
    this.#grid.style.height = `${height}px`;
    this.#grid.style.setProperty("--laid", `${laid}px`);
  }

  #scrolled() {
    const now = performance.now();
    const top = this.#wall.scrollTop;
    const screens = Math.abs(top - this.#lastTop) / Math.max(1, this.#screen);
    this.#isFast = screens / Math.max(0.008, (now - this.#lastTime) / 1000) > FAST;
    this.#lastTop = top;
    this.#lastTime = now;
    clearTimeout(this.#settle);
    if (this.#isFast) {
      this.#settle = window.setTimeout(() => {
        this.#isFast = false;
        this.#soon();
      }, 90);
    }
    this.#soon();
  }

  #soon() {
    if (this.#frame) return;
    this.#frame = requestAnimationFrame(() => this.#draw());
  }

  #draw() {
    cancelAnimationFrame(this.#frame);
    this.#frame = 0;
    if (this.#isStale) return this.#relay();
    this.#setHeight();
    const { records } = this.catalog;
    const top = this.#wall.scrollTop;
    const screen = this.#screen;
    const from = this.#layout.rowAt(top - screen * READY);
    const rows = [];
    for (let i = from; i < this.#layout.rows.length; i += 1) {
      const row = this.#layout.rows[i];
      if (row.top > top + screen * (1 + READY)) break;
      rows.push(row);
    }
    // What has the focus stays in the page, however far it is scrolled away: else the focus would be lost.
    const focused = this.#tiles.at(document.activeElement);
    const kept = focused?.rec ? this.catalog.indexOf(focused.rec.id) : -1;
    if (kept >= 0) {
      const row = this.#layout.rows[this.#layout.rowOf(kept)];
      if (!rows.includes(row)) rows.push(row);
      rows.sort((a, b) => a.top - b.top);
    }

    const isMore = this.#tiles.draw(rows, this.#layout, { isFast: this.#isFast, must: this.active });
    const last = rows[rows.length - 1];
    const beyond = top + screen - this.#layout.height;
    const average = this.#layout.height / Math.max(1, records.length);
    const seen = beyond > 0 ? records.length + beyond / Math.max(1, average) : last ? last.first + last.count : 0;
    this.catalog.look(Math.ceil(seen));
    this.#tiles.rove(this.active, top);
    if (isMore) this.#soon();
    // Last, for what waits may be shown now, and then all of this is done again.
    this.hooks.scrolled(top > NEAR_TOP);
  }

  /** @param {number} id */
  #activate(id) {
    if (this.active === id) return;
    this.active = id;
    this.#tiles.rove(id, this.#wall.scrollTop);
  }

  /** The index that keys start from: the active image, or the first that is seen. */
  get index() {
    this.#settleLayout();
    const index = this.active === null ? -1 : this.catalog.indexOf(this.active);
    if (index >= 0) return index;
    return this.#layout.rows[this.#layout.rowAt(this.#wall.scrollTop)]?.first ?? -1;
  }

  /**
   * Moves to an image: it is scrolled to where it is seen and has the focus.
   * @param {number} index
   * @param {{focus?: boolean, middle?: boolean}} [how]
   */
  goTo(index, { focus = true, middle = false } = {}) {
    this.#settleLayout();
    const rec = this.catalog.records[index];
    const row = this.#layout.rows[this.#layout.rowOf(index)];
    if (!rec || !row) return;
    this.active = rec.id;
    const { heading, gap } = this.#layout.sizes;
    const top = this.#wall.scrollTop;
    const screen = this.#screen;
    const isFirstRow = this.#layout.days[row.day].row === this.#layout.rowOf(index);
    const above = row.top - heading - (isFirstRow ? 0 : gap);
    const below = row.top + row.height + gap * 2 - screen;
    if (middle && (top > above || top < below)) this.#wall.scrollTop = row.top - (screen - row.height) / 2;
    else if (top > above) this.#wall.scrollTop = above;
    else if (top < below) this.#wall.scrollTop = below;
    this.#isFast = false;
    this.#draw();
    // Many new tiles come over several frames, but this one has to be there.
    if (focus) this.#tiles.get(rec.id)?.element.focus({ preventScroll: true });
  }

  /** @param {"left"|"right"|"up"|"down"} way */
  step(way) {
    const { records } = this.catalog;
    const index = this.index;
    if (index < 0) return;
    const isAt = this.active !== null && document.activeElement !== document.body;
    if (!isAt) return this.goTo(index);
    if (way === "left") this.goTo(Math.max(0, index - 1));
    else if (way === "right") this.goTo(Math.min(records.length - 1, index + 1));
    else this.goTo(this.#layout.beside(index, way === "up" ? -1 : 1, records));
  }

  /** @param {boolean} isSmooth */
  toTop(isSmooth) {
    this.#wall.scrollTo({ top: 0, behavior: isSmooth ? "smooth" : "instant" });
    if (isSmooth) return;
    this.#settleLayout();
    this.#draw();
  }

  /** Draws again: days change their names at midnight, and what was asked for may have broken off. */
  refresh() {
    this.#tiles.again();
    this.#soon();
  }
}
