// What stands around the wall of images: how many there are, what to do where there is none, the session's
// badge, the pill of new ones, the bar of selected ones.
//
// Called by main. It shows how the others stand and changes none of them.

/** @import {Actions} from "./actions.js" */
/** @import {Catalog} from "./catalog.js" */
/** @import {Happened, State} from "./events.js" */
/** @import {Selection} from "./selection.js" */
import { logout } from "./api.js";
import { isWindow } from "./host.js";
import { part } from "./part.js";
import { isEverything, shown } from "./record.js";
import { count, refused, say } from "./texts.js";
import { notice, tell } from "./toast.js";

// A cut shorter than this is nothing to speak of.
const SHORT_CUT = 800;

export class Wall {
  #root = document.documentElement;
  #cut = 0;
  #isClosed = false;

  /**
   * @param {Catalog} catalog
   * @param {Selection} selection
   * @param {Actions} actions
   */
  constructor(catalog, selection, actions) {
    this.catalog = catalog;
    this.selection = selection;
    this.actions = actions;
    part("leave").addEventListener("click", () => void this.#leave());
    catalog.listen(() => this.#show());
    selection.listen(() => this.#showSelection());
    this.#root.toggleAttribute("data-window", isWindow);
    this.#show();
  }

  async #leave() {
    try {
      await logout();
      location.reload();
    } catch (error) {
      this.complain(error);
    }
  }

  title() {
    const { text, uploader } = this.catalog.query;
    const asked = [text, uploader].filter(Boolean).map(shown).join(" · ");
    return asked ? `${asked} — imgrepo` : "imgrepo";
  }

  /** What may be done is known now. */
  allowed() {
    const { me } = this.actions;
    part("upload").hidden = !this.actions.can("upload");
    part("account").hidden = me === null;
    part("who").textContent = me ? say("who", { user: shown(me.user) }) : "";
    // In the window one is logged in by the program, and a guest is not.
    part("leave").hidden = isWindow || typeof me?.device !== "number";
    this.#show();
    this.#showSelection();
  }

  /** Nobody is let in without an invitation. */
  close() {
    this.#isClosed = true;
    this.#show();
  }

  #show() {
    const { catalog } = this;
    const has = catalog.records.length > 0;
    const isOver = catalog.state === "ready" && !has && catalog.isWhole;
    const state = this.#isClosed
      ? "closed"
      : catalog.state === "failed"
        ? catalog.failure?.status === 401 ? "closed" : "failed"
        : has ? (catalog.state === "loading" ? "loading" : "ready")
          : isOver ? (isEverything(catalog.query) ? "empty" : "none-found")
            : "loading";
    this.#root.dataset.state = state;
    part("grid").hidden = !has || state === "closed" || state === "failed";
    for (const other of ["empty", "none-found", "failed", "closed"]) part(other).hidden = other !== state;
    part("empty-add").hidden = !this.actions.can("upload");
    part("empty-wait").hidden = this.actions.can("upload");
    if (state === "failed") part("failed-why").textContent = refused(catalog.failure);
    const { total } = catalog;
    part("total").textContent = state === "ready" ? this.#count(total) : "";
    part("fresh").hidden = catalog.waiting.length === 0;
    part("fresh-count").textContent = count("fresh", catalog.waiting.length);
  }

  /** @param {number|null} total */
  #count(total) {
    return total === null ? say("images.more", { n: this.catalog.records.length }) : count("images", total);
  }

  /** The first page of a search is there: says so to who does not see it. */
  told() {
    const { catalog } = this;
    if (catalog.state !== "ready") return;
    tell(catalog.records.length === 0 ? say("none-found.title") : this.#count(catalog.total));
  }

  /** @param {Happened} happened */
  happened(happened) {
    const { event, by, image } = happened;
    if (event !== "NEW_UPLOAD" || !image || by === this.actions.me?.user) return;
    tell(say("happened.new", { name: shown(image.name), by: shown(by ?? image.uploader) }));
  }

  /** @param {State} state @param {string} message */
  session(state, message) {
    const isPassing = state !== "connected" && state !== "refused" && state !== "gone";
    // Each try of the browser says again that it waits.
    if (isPassing && (this.#cut !== 0 || this.#root.dataset.session === state)) return;
    clearTimeout(this.#cut);
    const show = () => {
      this.#cut = 0;
      this.#root.dataset.session = state;
      const isFine = state === "connected";
      part("badge").hidden = isFine;
      part("badge-text").textContent = isFine ? "" : say(`session.${state}`);
      part("badge").title = message;
    };
    if (!isPassing) show();
    else this.#cut = window.setTimeout(show, SHORT_CUT);
    // What could not be read is read as soon as it can be.
    if (state !== "connected") return;
    this.#isClosed = false;
    if (this.catalog.state === "failed") void this.catalog.open(this.catalog.query);
  }

  #showSelection() {
    const { selection, catalog, actions } = this;
    part("selected").hidden = selection.count === 0;
    if (selection.count === 0) return;
    part("selected-count").textContent = count("selected", selection.count);
    const recs = [...selection.ids].map((id) => catalog.get(id));
    part("selected-delete").hidden = !recs.some((rec) => rec && actions.canChange(rec));
    const total = catalog.total;
    part("selected-all").hidden = total !== null && selection.count >= total;
  }

  /** @param {unknown} error */
  complain(error) {
    notice(refused(error), { isBad: true });
  }
}
