// The elements of the wall: which tiles and days stand in the page, and no more of them than are looked at.
//
// Called by the grid with the rows that are to stand there. Elements are used again, so that scrolling a
// hundred thousand images makes no more of them than one screen needs. It decides nothing of what is seen.

/** @import {Catalog} from "./catalog.js" */
/** @import {Layout, Row} from "./layout.js" */
/** @import {Selection} from "./selection.js" */
import { part } from "./part.js";
import { day } from "./texts.js";
import { Tile } from "./tile.js";

// So many new tiles in one frame: more would take longer than the frame.
const TILES_A_FRAME = 80;
// Elements that wait to be used again.
const SPARE = 120;

export class Tiles {
  #grid = part("grid");
  /** @type {Map<number, Tile>} */
  #tiles = new Map();
  /** @type {Tile[]} */
  #spare = [];
  /** @type {Map<string, HTMLElement>} */
  #days = new Map();

  /** @param {Catalog} catalog @param {Selection} selection @param {() => void} first that a picture is seen */
  constructor(catalog, selection, first) {
    this.catalog = catalog;
    this.selection = selection;
    this.hooks = { first, fault: (/** @type {import("./record.js").Rec} */ rec) => catalog.markFault(rec) };
    selection.listen(() => this.#showSelection());
  }

  /** The tile of an image, if it stands in the page. @param {number} id */
  get(id) {
    return this.#tiles.get(id);
  }

  /** Which image stood at a place when it was drawn. @param {number} index */
  idOf(index) {
    for (const [id, tile] of this.#tiles) if (tile.index === index) return id;
    return null;
  }

  /** Asks once more for the pictures that did not come. */
  again() {
    for (const tile of this.#tiles.values()) tile.again();
  }

  /** The tile that an event meets. @param {EventTarget|null} target */
  at(target) {
    const element = target instanceof Element ? target.closest("[data-image]") : null;
    return element instanceof HTMLElement ? this.#tiles.get(Number(element.dataset.image)) : undefined;
  }

  /**
   * Makes the page have the tiles of these rows, and no others.
   * @param {readonly Row[]} rows
   * @param {Layout} layout
   * @param {{isFast: boolean, must: number|null}} how `must`: the image that may not wait for a later frame
   * @returns {boolean} whether some wait for the next frame
   */
  draw(rows, layout, { isFast, must }) {
    const { records } = this.catalog;
    this.#dropTiles(rows);
    this.#dropDays(rows, layout);
    let made = 0;
    let isMore = false;
    /** @type {Set<string>} */
    const keys = new Set();
    /** @type {{day: number, element: HTMLElement, next: ChildNode|null}|null} */
    let section = null;
    for (const row of rows) {
      if (section?.day !== row.day) {
        const before = section?.element ?? null;
        section = this.#section(row.day, layout, keys);
        // In the order of the days, as a screen reader goes through them.
        const place = before ? before.nextSibling : this.#grid.firstChild;
        if (place !== section.element) this.#grid.insertBefore(section.element, place);
      }
      const boxes = layout.boxes(row, records);
      for (let i = 0; i < row.count; i += 1) {
        const index = row.first + i;
        const rec = records[index];
        let tile = this.#tiles.get(rec.id);
        if (!tile) {
          if (made >= TILES_A_FRAME && rec.id !== must) {
            isMore = true;
            continue;
          }
          made += 1;
          tile = this.#spare.pop() ?? new Tile(this.hooks);
          this.#tiles.set(rec.id, tile);
          tile.take(rec);
          tile.element.setAttribute("aria-selected", String(this.selection.has(rec.id)));
        }
        this.#number(tile, index);
        tile.place(boxes[i], layout.days[row.day]);
        if (section.next === tile.element) section.next = tile.element.nextSibling;
        else section.element.insertBefore(tile.element, section.next);
        if (!isFast) tile.load();
      }
    }
    return isMore;
  }

  /** @param {readonly Row[]} rows */
  #dropTiles(rows) {
    const { records } = this.catalog;
    /** @type {Set<number>} */
    const wanted = new Set();
    for (const row of rows) for (let i = 0; i < row.count; i += 1) wanted.add(records[row.first + i].id);
    for (const [id, tile] of this.#tiles) {
      if (wanted.has(id) && this.catalog.get(id) === tile.rec) continue;
      this.#tiles.delete(id);
      tile.leave();
      if (this.#spare.length < SPARE) this.#spare.push(tile);
    }
  }

  /** @param {readonly Row[]} rows @param {Layout} layout */
  #dropDays(rows, layout) {
    const dates = new Set(rows.map((row) => String(layout.days[row.day].key)));
    for (const [key, element] of this.#days) {
      if (dates.has(key.replaceAll("'", ""))) continue;
      this.#days.delete(key);
      element.remove();
    }
  }

  /** @param {Tile} tile @param {number} index */
  #number(tile, index) {
    const total = this.catalog.total;
    const size = total === null ? "-1" : String(total);
    if (tile.index === index && tile.element.getAttribute("aria-setsize") === size) return;
    tile.index = index;
    tile.element.setAttribute("aria-posinset", String(index + 1));
    tile.element.setAttribute("aria-setsize", size);
  }

  /**
   * The element of a day.
   * @param {number} index
   * @param {Layout} layout
   * @param {Set<string>} keys of those that are in use
   */
  #section(index, layout, keys) {
    const { key: date, top, height, x, width } = layout.days[index];
    // A clock that was put back makes a day come twice.
    let key = String(date);
    while (keys.has(key)) key += "'";
    keys.add(key);
    let element = this.#days.get(key);
    const label = day(date, Date.now());
    if (!element) {
      element = document.createElement("div");
      element.className = "day";
      element.setAttribute("role", "group");
      element.dataset.day = String(date);
      const heading = document.createElement("h2");
      heading.setAttribute("role", "presentation");
      element.append(heading);
      this.#days.set(key, element);
    }
    const heading = /** @type {HTMLElement} */ (element.firstElementChild);
    if (heading.textContent !== label) {
      heading.textContent = label;
      element.setAttribute("aria-label", label);
    }
    element.style.left = `${x}px`;
    element.style.top = `${top}px`;
    element.style.width = `${width}px`;
    element.style.height = `${height}px`;
    return { day: index, element, next: heading.nextSibling };
  }

  #showSelection() {
    this.#grid.toggleAttribute("data-selecting", this.selection.count > 0);
    for (const [id, tile] of this.#tiles) {
      tile.element.setAttribute("aria-selected", String(this.selection.has(id)));
    }
  }

  /**
   * One tile can be reached by Tab: the active one, or the first that is seen.
   * @param {number|null} active
   * @param {number} top of what is seen
   */
  rove(active, top) {
    let reached = active === null ? undefined : this.#tiles.get(active);
    if (!reached) {
      for (const tile of this.#tiles.values()) {
        if (tile.box.y >= top && (!reached || tile.index < reached.index)) reached = tile;
      }
    }
    for (const tile of this.#tiles.values()) {
      const index = tile === reached ? 0 : -1;
      if (tile.element.tabIndex !== index) tile.element.tabIndex = index;
    }
  }
}
