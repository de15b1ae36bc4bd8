// One image at a time: which it is, its neighbours, its bar, its panel, its slideshow.
//
// Called by main. It owns #single and the stage in it; neighbours are decoded ahead, so that the next one
// is there within a frame. What changes an image is done by actions.

/** @import {Catalog} from "./catalog.js" */
/** @import {Rec} from "./record.js" */
import * as api from "./api.js";
import { attach } from "./gestures.js";
import { Info } from "./info.js";
import { part } from "./part.js";
import { record, shown, typeName } from "./record.js";
import { Slideshow } from "./slideshow.js";
import { Stage } from "./stage.js";
import { number, refused, say } from "./texts.js";
import { tell } from "./toast.js";

/**
 * @typedef {object} SingleHooks
 * @property {(id: number) => void} moved that another image is shown
 * @property {() => void} leave
 * @property {(text: string) => void} title
 * @property {(rec: Rec) => void} shown that it is to be seen
 * @property {(rec: Rec) => void} rename
 * @property {(name: string) => void} person
 * @property {(rec: Rec) => boolean} canChange
 */

// Decoded pictures of 2,560 pixels are some 17 MB each: the neighbours, and the way back.
const KEPT = 5;

// How long one looks at an image before the next ones are drawn.
const PAUSE_MS = 150;

export class Single {
  #section = part("single");
  /** @type {Rec|null} */
  rec = null;
  /** Where it stood when it was last seen among the others. */
  #index = -1;
  #way = 1;
  /** What was asked for last. @type {number|null} */
  #asked = null;
  /** @type {Map<number, HTMLImageElement>} */
  #kept = new Map();
  #began = 0;

  /** @param {Catalog} catalog @param {SingleHooks} hooks */
  constructor(catalog, hooks) {
    this.catalog = catalog;
    this.hooks = hooks;
    this.stage = new Stage(part("stage"), part("lens"), {
      shown: (rec) => this.#shown(rec),
      failed: (rec, reason) => this.#failed(rec, reason),
      lies: () => this.#showZoom(),
    });
    attach(this.stage, { step: (way) => void this.step(way), leave: () => hooks.leave() });
    this.info = new Info({ person: hooks.person, rename: hooks.rename, canChange: hooks.canChange });
    this.slideshow = new Slideshow({
      next: () => this.#slide(),
      changed: (isOn) => this.#section.toggleAttribute("data-slideshow", isOn),
    });
    part("previous").addEventListener("click", () => void this.step(-1));
    part("next").addEventListener("click", () => void this.step(1));
    catalog.listen((change) => {
      if (!this.rec) return;
      if (change.kind === "record" && change.rec.id === this.rec.id) this.#show();
      if (change.kind === "changed" || change.kind === "reset") this.#changed();
      if (change.kind === "appended") this.#show();
    });
  }

  get isOpen() {
    return this.rec !== null;
  }

  /**
   * Opens an image, or goes to another one; throws what was refused.
   * @param {number} id
   */
  async open(id) {
    this.#asked = id;
    if (this.rec?.id === id) return;
    let rec = this.catalog.get(id);
    // The list may come to it later, but it can be seen now.
    if (!rec) rec = record(await api.info(id));
    // Meanwhile somebody may have gone elsewhere.
    if (this.#asked === id) this.#take(this.catalog.get(id) ?? rec);
  }

  /** @param {Rec} rec */
  #take(rec) {
    const wasOpen = this.isOpen;
    this.rec = rec;
    this.#index = this.catalog.indexOf(rec.id);
    this.#began = performance.now();
    this.#section.hidden = false;
    this.#section.dataset.image = String(rec.id);
    part("instead").hidden = true;
    this.stage.upright();
    this.stage.show(rec, this.#picture(rec));
    if (rec.fault) this.#cannot(rec);
    this.#show();
    this.hooks.moved(rec.id);
    if (!wasOpen) part("stage").focus({ preventScroll: true });
    tell(say("single.told", { name: shown(rec.name), place: this.#place() }));
    if (this.#index < 0) void this.#find(rec.id);
  }

  /** Its place among the others, as `3 of 120`; nothing where it is not known. */
  #place() {
    const { total } = this.catalog;
    if (this.#index < 0) return "";
    if (total === null) return number(this.#index + 1);
    return say("single.place", { n: this.#index + 1, total });
  }

  #show() {
    const { rec } = this;
    if (!rec) return;
    this.#index = this.catalog.indexOf(rec.id);
    const name = shown(rec.name);
    const place = this.#place();
    part("single-name").textContent = name;
    part("single-place").textContent = place;
    const hasNext = this.#index >= 0 && (this.#index + 1 < this.catalog.records.length || !this.catalog.isWhole);
    part("previous").toggleAttribute("disabled", this.#index <= 0);
    part("next").toggleAttribute("disabled", !hasNext);
    for (const id of ["single-delete", "single-rename"]) part(id).hidden = !this.hooks.canChange(rec);
    this.stage.element.setAttribute("aria-label", say("single.picture", { name }));
    this.info.show(rec);
    this.hooks.title(`${name}${place ? ` · ${place}` : ""} — imgrepo`);
  }

  /** Reads on until its place is known: then it has neighbours. @param {number} id */
  async #find(id) {
    const { catalog } = this;
    // The newest are first: past an older one, it is not in this list.
    const isAhead = () => (catalog.records[catalog.records.length - 1]?.id ?? Infinity) > id;
    while (this.rec?.id === id && catalog.state === "ready" && !catalog.isWhole && isAhead()) {
      const before = catalog.records.length;
      await catalog.want(before + 1);
      if (catalog.records.length === before) return;
    }
    if (this.rec?.id !== id || catalog.indexOf(id) < 0) return;
    this.#show();
    this.#prepare();
  }

  /** What is shown may be gone: then the one that took its place is. */
  #changed() {
    const { rec } = this;
    if (!rec) return;
    if (this.#index < 0) {
      this.#show();
      return void this.#find(rec.id);
    }
    if (this.catalog.get(rec.id)) return this.#show();
    this.#kept.delete(rec.id);
    const { records } = this.catalog;
    const next = records[Math.min(this.#index, records.length - 1)];
    if (next) this.#take(next);
    else this.hooks.leave();
  }

  /** The element of an image's picture, which may have been loading for a while. @param {Rec} rec */
  #picture(rec) {
    let picture = this.#kept.get(rec.id);
    if (!picture || (picture.complete && picture.naturalWidth === 0)) {
      picture = document.createElement("img");
      picture.alt = "";
      picture.draggable = false;
      picture.decoding = "sync";
      picture.dataset.layer = "display";
      if (!rec.fault) picture.src = api.picture(rec, "display");
    }
    // What was asked for last goes last.
    this.#kept.delete(rec.id);
    this.#kept.set(rec.id, picture);
    for (const id of this.#kept.keys()) {
      if (this.#kept.size <= KEPT) break;
      if (id === this.rec?.id) continue;
      const old = this.#kept.get(id);
      if (old && !old.complete) old.removeAttribute("src");
      this.#kept.delete(id);
    }
    return picture;
  }

  /** Loads and decodes the neighbours, the one that is likelier first. */
  #prepare() {
    const { rec } = this;
    if (!rec || this.#index < 0) return;
    const { records } = this.catalog;
    this.catalog.look(this.#index);
    for (const offset of [this.#way, -this.#way, 2 * this.#way]) {
      const other = records[this.#index + offset];
      if (!other || other.fault || this.#kept.has(other.id)) continue;
      const picture = this.#picture(other);
      picture.decode().then(
        // Not while somebody goes on quickly: it holds up the page for a moment.
        () => setTimeout(() => this.rec === rec && this.stage.prepare(other, picture), PAUSE_MS),
        () => {
          // It is told when it is to be shown.
        },
      );
    }
  }

  /** @param {Rec} rec */
  #shown(rec) {
    part("instead").hidden = true;
    this.#section.dataset.picture = "shown";
    performance.clearMarks("imgrepo:shown");
    performance.mark("imgrepo:shown", { detail: { image: rec.id, milliseconds: performance.now() - this.#began } });
    this.hooks.shown(rec);
    this.slideshow.shown();
    this.#prepare();
  }

  /** @param {Rec} rec @param {api.Refusal} reason */
  #failed(rec, reason) {
    this.#kept.delete(rec.id);
    if (reason.status === 422 || reason.code === "not_viewable") this.catalog.markFault(rec);
    if (reason.status === 422 || reason.code === "not_viewable") this.#cannot(rec);
    else this.#cannot(rec, refused(reason));
  }

  /** Says that it is not shown, and why. @param {Rec} rec @param {string} [why] */
  #cannot(rec, why) {
    this.#section.dataset.picture = "failed";
    this.stage.clear();
    this.stage.rec = rec;
    part("instead").hidden = false;
    part("instead-type").textContent = typeName(rec);
    part("instead-why").textContent = why ?? say("single.cannot");
    part("instead-again").hidden = why === undefined;
    this.slideshow.shown();
    this.#prepare();
  }

  /** Asks once more for what did not come. */
  again() {
    const { rec } = this;
    if (rec && !rec.fault && !part("instead").hidden) this.#take(rec);
  }

  #showZoom() {
    const { percent, isZoomed } = this.stage;
    part("single-zoom").textContent = isZoomed ? `${number(percent)} %` : "";
  }

  /** @param {number} by @returns {Promise<boolean>} whether there is one */
  async step(by) {
    if (this.#index < 0) return false;
    this.#way = by < 0 ? -1 : 1;
    return this.goTo(this.#index + by);
  }

  /** @param {number} index @returns {Promise<boolean>} whether there is one */
  async goTo(index) {
    if (index < 0) return false;
    if (index >= this.catalog.records.length && !this.catalog.isWhole) await this.catalog.want(index + 1);
    const rec = this.catalog.records[index];
    if (!rec || !this.rec) return false;
    this.#take(rec);
    return true;
  }

  async #slide() {
    if (!(await this.step(1))) await this.goTo(0);
  }

  close() {
    this.slideshow.stop();
    this.rec = null;
    this.#asked = null;
    this.#index = -1;
    this.stage.clear();
    this.#kept.clear();
    this.#section.hidden = true;
    delete this.#section.dataset.picture;
  }
}
