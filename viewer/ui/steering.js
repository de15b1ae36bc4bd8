// What keys, clicks and buttons mean: it joins each to what the rooms can do.
//
// Called once by main. It keeps nothing but a press under way, and decides one thing: on which images an
// act works (those selected, else the one that is looked at).

/** @import {Rec} from "./record.js" */
import { isWindow, post } from "./host.js";
import { chord, commandOf, fillSheet } from "./keys.js";
import { dialog, part } from "./part.js";
import * as route from "./route.js";
import { say } from "./texts.js";
import { notice, tell } from "./toast.js";

// A finger that rests so long selects.
const HOLD = 450;
// One press of an arrow pans so far.
const PAN = 120;
const ZOOM = 1.4;

/**
 * @typedef {object} Rooms
 * @property {import("./catalog.js").Catalog} catalog
 * @property {import("./selection.js").Selection} selection
 * @property {import("./actions.js").Actions} actions
 * @property {import("./grid.js").Grid} grid
 * @property {import("./single.js").Single} single
 * @property {import("./search.js").Search} search
 * @property {import("./wall.js").Wall} wall
 */

export class Steering {
  /** @param {Rooms} rooms */
  constructor(rooms) {
    this.rooms = rooms;
    this.isFull = false;
  }

  attach() {
    fillSheet((level) => part(`help-${level}`));
    document.addEventListener("keydown", (event) => this.#pressed(event));
    this.#attachGrid();
    // Elements that say which command they are.
    document.addEventListener("click", (event) => {
      const button = event.target instanceof Element ? event.target.closest("[data-command]") : null;
      if (button instanceof HTMLElement && button.dataset.command) this.run(button.dataset.command);
    });
    document.addEventListener("fullscreenchange", () => {
      this.isFull = document.fullscreenElement !== null;
      document.documentElement.toggleAttribute("data-full", this.isFull);
    });
    let idle = 0;
    document.addEventListener("pointermove", () => {
      document.documentElement.removeAttribute("data-idle");
      clearTimeout(idle);
      idle = window.setTimeout(() => document.documentElement.setAttribute("data-idle", ""), 2500);
    });
  }

  /** @param {KeyboardEvent} event */
  #pressed(event) {
    if (event.defaultPrevented || event.isComposing) return;
    // Dialogs close by themselves, and nothing behind them hears a key.
    if (document.querySelector("dialog[open]")) return;
    const pressed = chord(event);
    const target = event.target instanceof Element ? event.target : null;
    const isField = target?.matches("input, textarea, select") ?? false;
    if (isField && pressed !== "Escape") return;
    if ((pressed === "Enter" || pressed === " ") && target?.closest("button, a, summary")) return;
    const command = commandOf(pressed, this.rooms.single.isOpen ? "single" : "grid");
    // A tab is the browser's to close.
    if (!command || (command === "close" && !isWindow)) return;
    event.preventDefault();
    this.run(command);
  }

  #attachGrid() {
    const { grid, selection, catalog, actions } = this.rooms;
    const element = part("grid");
    let timer = 0;
    let isHeld = false;
    element.addEventListener("pointerdown", (event) => {
      isHeld = false;
      clearTimeout(timer);
      if (event.pointerType === "mouse") return;
      const rec = grid.imageOf(event.target);
      timer = window.setTimeout(() => {
        if (!rec) return;
        isHeld = true;
        selection.toggle(rec.id);
        navigator.vibrate?.(10);
      }, HOLD);
    });
    for (const name of ["pointerup", "pointercancel", "pointerleave"]) {
      element.addEventListener(name, () => clearTimeout(timer));
    }
    part("wall").addEventListener("scroll", () => clearTimeout(timer), { passive: true });
    element.addEventListener("contextmenu", (event) => {
      if (isHeld) event.preventDefault();
    });
    element.addEventListener("click", (event) => {
      const rec = grid.imageOf(event.target);
      if (!rec || !(event.target instanceof Element)) return;
      if (isHeld) {
        isHeld = false;
        return;
      }
      if (event.target.closest("[data-download]")) return void actions.download([rec]);
      const isMark = event.target.closest("[data-mark]") !== null;
      if (event.shiftKey) selection.extendTo(catalog.records, (id) => catalog.indexOf(id), rec.id);
      else if (isMark || event.ctrlKey || event.metaKey || selection.count > 0) selection.toggle(rec.id);
      else route.go({ image: rec.id });
    });
  }

  /** What an act works on. @returns {Rec[]} */
  #chosen() {
    const { catalog, selection, grid, single } = this.rooms;
    if (single.rec) return [single.rec];
    if (selection.count > 0) {
      const recs = [...selection.ids].map((id) => catalog.get(id));
      // As they stand on the wall.
      return recs.filter((rec) => rec !== undefined).sort((a, b) => b.id - a.id);
    }
    const rec = grid.active === null ? undefined : catalog.get(grid.active);
    return rec ? [rec] : [];
  }

  /** @param {"left"|"right"|"up"|"down"} way */
  #extend(way) {
    const { catalog, selection, grid } = this.rooms;
    if (grid.active === null) grid.goTo(grid.index);
    if (selection.anchor === null && grid.active !== null) selection.toggle(grid.active);
    grid.step(way);
    if (grid.active !== null) {
      selection.extendTo(catalog.records, (id) => catalog.indexOf(id), grid.active);
    }
  }

  /** @param {boolean} isAll */
  async #toEnd(isAll) {
    const { catalog } = this.rooms;
    if (!catalog.isWhole && isAll) {
      const close = notice(say("reading"));
      await catalog.want(Infinity);
      close();
    }
  }

  /**
   * Carries a command out.
   * @param {string} command
   */
  run(command) {
    const { catalog, selection, actions, grid, single, search } = this.rooms;
    const { stage } = single;
    const last = () => catalog.records.length - 1;
    /** @param {number} x @param {number} y @param {number} by */
    const panOr = (x, y, by) => {
      if (stage.isZoomed) stage.panBy({ x: x * PAN, y: y * PAN });
      else if (by) void single.step(by);
    };
    /** @type {Record<string, () => void>} */
    const commands = {
      left: () => grid.step("left"),
      right: () => grid.step("right"),
      up: () => grid.step("up"),
      down: () => grid.step("down"),
      next: () => (single.isOpen ? void single.step(1) : grid.step("right")),
      previous: () => (single.isOpen ? void single.step(-1) : grid.step("left")),
      "page-down": () => part("wall").scrollBy(0, part("wall").clientHeight * 0.85),
      "page-up": () => part("wall").scrollBy(0, -part("wall").clientHeight * 0.85),
      "select-left": () => this.#extend("left"),
      "select-right": () => this.#extend("right"),
      "select-up": () => this.#extend("up"),
      "select-down": () => this.#extend("down"),
      "select-all": () => void this.#toEnd(true).then(() => selection.addAll(catalog.records)),
      open: () => {
        if (grid.index >= 0) route.go({ image: catalog.records[grid.index].id });
      },
      "pan-left": () => panOr(1, 0, -1),
      "pan-right": () => panOr(-1, 0, 1),
      "pan-up": () => panOr(0, 1, 0),
      "pan-down": () => panOr(0, -1, 0),
      first: () => (single.isOpen ? void single.goTo(0) : grid.goTo(0)),
      last: () => void this.#toEnd(true).then(() => (single.isOpen ? void single.goTo(last()) : grid.goTo(last()))),
      "zoom-in": () => stage.zoomBy(ZOOM, undefined, true),
      "zoom-out": () => stage.zoomBy(1 / ZOOM, undefined, true),
      zoom: () => stage.toggle(),
      fit: () => stage.fit(true),
      rotate: () => stage.rotate(1),
      "rotate-back": () => stage.rotate(-1),
      again: () => single.again(),
      info: () => {
        if (single.isOpen) single.info.open(!single.info.isOpen, single.rec);
        else if (grid.active !== null) {
          route.go({ image: grid.active });
          single.info.open(true, null);
        }
      },
      slideshow: () => {
        if (!single.isOpen && grid.index >= 0) route.go({ image: catalog.records[grid.index].id });
        single.slideshow.toggle();
      },
      fullscreen: () => this.#full(!this.isFull),
      select: () => {
        const rec = single.rec ?? (grid.active === null ? undefined : catalog.get(grid.active));
        if (!rec) return;
        selection.toggle(rec.id);
        if (single.isOpen) notice(say(selection.has(rec.id) ? "select.on" : "select.off"));
      },
      "clear-selection": () => selection.clear(),
      download: () => void actions.download(this.#chosen()),
      rename: () => {
        const [rec] = this.#chosen();
        if (rec) actions.rename(rec);
      },
      delete: () => void this.#delete(),
      undo: () => actions.undo(),
      upload: () => {
        if (actions.can("upload")) part("files").click();
      },
      search: () => {
        if (single.isOpen) route.leave();
        requestAnimationFrame(() => search.focus());
      },
      help: () => dialog("help").showModal(),
      "close-help": () => dialog("help").close(),
      back: () => route.leave(),
      close: () => post({ do: "close" }),
      escape: () => this.#escape(),
    };
    commands[command]?.();
  }

  async #delete() {
    const { selection, grid, catalog, actions, single } = this.rooms;
    const recs = this.#chosen();
    const index = grid.index;
    const hadFocus = part("grid").contains(document.activeElement);
    const done = actions.remove(recs);
    if (!single.isOpen) {
      selection.clear();
      if (hadFocus && catalog.records.length > 0) grid.goTo(Math.min(index, catalog.records.length - 1));
    }
    await done;
  }

  /** @param {boolean} isOn */
  #full(isOn) {
    if (isWindow) {
      this.isFull = isOn;
      document.documentElement.toggleAttribute("data-full", isOn);
      post({ do: "fullscreen", on: isOn });
    } else if (isOn) {
      document.documentElement.requestFullscreen?.().catch(() => {});
    } else if (document.fullscreenElement) {
      document.exitFullscreen().catch(() => {});
    }
  }

  /** One level back. */
  #escape() {
    const { single, selection, search, grid } = this.rooms;
    if (single.isOpen) {
      if (single.slideshow.isOn) single.slideshow.stop();
      else if (single.stage.isZoomed) single.stage.fit(true);
      else if (single.info.isOpen) single.info.open(false, null);
      else if (this.isFull) this.#full(false);
      else route.leave();
    } else if (selection.count > 0) {
      selection.clear();
      tell(say("select.none"));
    } else if (search.escape()) {
      if (grid.active !== null && document.activeElement === part("wall")) grid.goTo(grid.index);
    } else if (this.isFull) this.#full(false);
    else post({ do: "close" });
  }
}
