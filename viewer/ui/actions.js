// What is done with images: download, delete and undo, rename.
//
// Called by main for keys, buttons and tiles. A change is shown at once and taken back where the
// repository refuses it. Who may change what is the repository's to say; here it only hides buttons.

/** @import {Catalog} from "./catalog.js" */
/** @import {Rec, Told} from "./record.js" */
/** @import {Me} from "./api.js" */
import * as api from "./api.js";
import { isWindow, listen, post } from "./host.js";
import { dialog, input, part } from "./part.js";
import { shown } from "./record.js";
import { count, refused, say } from "./texts.js";
import { notice } from "./toast.js";

// Browsers drop downloads that come all at once.
const BETWEEN_DOWNLOADS = 600;
// Requests at a time, so that a hundred deletions leave room for pictures.
const AT_ONCE = 3;

/**
 * Images that were deleted at once.
 * @typedef {{ids: number[], done: Promise<void>, close: () => void}} Batch
 */

export class Actions {
  /** @type {Me|null} */
  me = null;
  /** What was deleted here, batch by batch. @type {Batch[]} */
  #deleted = [];
  /** @type {Rec|null} */
  #renaming = null;

  /** @param {Catalog} catalog */
  constructor(catalog) {
    this.catalog = catalog;
    const sheet = dialog("rename");
    part("rename-form").addEventListener("submit", (event) => {
      event.preventDefault();
      void this.#rename();
    });
    part("rename-cancel").addEventListener("click", () => sheet.close());
    listen((told) => {
      if (told.kind === "saved") notice(say("saved", { name: shown(told.name), path: shown(told.path) }));
      if (told.kind === "failed") notice(told.message, { isBad: true });
    });
  }

  /** @param {string} what */
  can(what) {
    return this.me?.can.includes(what) ?? false;
  }

  /** @param {Rec} rec */
  canChange(rec) {
    return this.can("change_all") || (this.can("change_own") && rec.uploader === this.me?.user);
  }

  /** @param {Rec[]} recs */
  async download(recs) {
    if (recs.length === 0) return;
    if (isWindow) {
      post({ do: "download", images: recs.map((rec) => rec.id) });
      return;
    }
    if (recs.length > 1) notice(count("downloading", recs.length));
    for (const rec of recs) {
      const link = document.createElement("a");
      link.href = api.download(rec);
      link.download = rec.name;
      document.body.append(link);
      link.click();
      link.remove();
      if (recs.length > 1) await new Promise((resolve) => setTimeout(resolve, BETWEEN_DOWNLOADS));
    }
  }

  /** Moves images to the trash. @param {Rec[]} recs */
  async remove(recs) {
    const own = recs.filter((rec) => this.canChange(rec));
    if (own.length < recs.length) notice(say("delete.others"), { isBad: true });
    if (own.length === 0) return;
    for (const rec of own) this.catalog.remove(rec.id);
    /** @type {Batch} */
    const batch = { ids: [], done: Promise.resolve(), close: () => {} };
    const text = count("deleted", own.length, { name: shown(own[0].name) });
    batch.close = notice(text, { label: say("undo"), run: () => void this.#restore(batch) });
    batch.done = this.#delete(own, batch);
    this.#deleted.push(batch);
    await batch.done;
  }

  /** @param {Rec[]} recs @param {Batch} batch */
  async #delete(recs, batch) {
    /** @type {unknown} */
    let failure = null;
    await inTurns(recs, async (rec) => {
      try {
        await api.remove(rec.id);
        batch.ids.push(rec.id);
      } catch (error) {
        // Somebody else was faster: it is gone all the same.
        if (error instanceof api.Refusal && error.status === 404) return;
        failure = error;
        this.catalog.put(toldOf(rec), false);
      }
    });
    if (failure) notice(refused(failure), { isBad: true });
    if (batch.ids.length > 0) return;
    batch.close();
    this.#deleted = this.#deleted.filter((other) => other !== batch);
  }

  /** Takes the last deletion back. */
  undo() {
    const last = this.#deleted[this.#deleted.length - 1];
    if (last) void this.#restore(last);
    else notice(say("undo.nothing"));
  }

  /** @param {Batch} batch */
  async #restore(batch) {
    if (!this.#deleted.includes(batch)) return;
    this.#deleted = this.#deleted.filter((other) => other !== batch);
    batch.close();
    await batch.done;
    /** @type {unknown} */
    let failure = null;
    let back = 0;
    await inTurns(batch.ids, async (id) => {
      try {
        this.catalog.put(await api.restore(id), false);
        back += 1;
      } catch (error) {
        failure = error;
      }
    });
    if (failure) notice(refused(failure), { isBad: true });
    if (back > 0) notice(count("restored", back));
  }

  /** Asks for a new name. @param {Rec} rec */
  rename(rec) {
    if (!this.canChange(rec)) {
      notice(say("rename.others"), { isBad: true });
      return;
    }
    this.#renaming = rec;
    const field = input("rename-name");
    field.value = rec.name;
    this.#complain("");
    dialog("rename").showModal();
    // The name is what people change, hardly ever its ending.
    const dot = rec.name.lastIndexOf(".");
    field.setSelectionRange(0, dot > 0 ? dot : rec.name.length);
  }

  async #rename() {
    const rec = this.#renaming;
    const name = input("rename-name").value;
    const sheet = dialog("rename");
    if (!rec || name === rec.name) return sheet.close();
    try {
      this.catalog.put(await api.rename(rec.id, name), false);
      sheet.close();
    } catch (error) {
      this.#complain(refused(error));
      input("rename-name").focus();
    }
  }

  /** @param {string} text */
  #complain(text) {
    part("rename-refused").textContent = text;
    part("rename-refused").hidden = text === "";
  }
}

/**
 * @template T
 * @param {T[]} items
 * @param {(item: T) => Promise<void>} act
 */
async function inTurns(items, act) {
  const left = [...items];
  const work = async () => {
    for (let item = left.shift(); item !== undefined; item = left.shift()) await act(item);
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
}

/** A record as the API would tell it, to put it back. @param {Rec} rec @returns {Told} */
function toldOf(rec) {
  return {
    id: rec.id,
    name: rec.name,
    uploader: rec.uploader,
    size: rec.size < 0 ? null : rec.size,
    hash: rec.hash || null,
    media_type: rec.type || null,
    width: rec.width || null,
    height: rec.height || null,
    orientation: 1,
    uploaded_at: Number.isNaN(rec.at) ? null : new Date(rec.at).toISOString(),
    taken_at: rec.taken,
    placeholder: rec.placeholder,
  };
}
