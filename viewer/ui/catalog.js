// The records that a search finds, newest first, as far as they were read; pages come as they are needed,
// changes as they happen.
//
// The one owner of the records. Main feeds it with events, the grid asks for more and shows it, actions
// change it before the repository has answered. It touches no element.

/** @import {Rec, Query, Told} from "./record.js" */
/** @import {Happened} from "./events.js" */
import * as api from "./api.js";
import { FIRST_PAGE, after, begin } from "./pages.js";
import { EVERYTHING, fits, placeOf, record } from "./record.js";

/** So many records are read ahead of what is looked at. */
const AHEAD = 3000;

/**
 * What changed. `reset`: everything; `appended`: only at the end; `changed`: somewhere; `waiting`: only
 * what waits to be shown; `state`: how the reading stands; `record`: one record, in its place.
 * @typedef {{kind: "reset"|"appended"|"changed"|"waiting"|"state"} | {kind: "record", rec: Rec}} Change
 */

export class Catalog {
  /** @type {Rec[]} */
  records = [];
  /** New ones that are not shown yet, so that nothing moves under who looks further down; newest first. */
  /** @type {Rec[]} */
  waiting = [];
  /** Whether new ones wait. The grid says so while it is scrolled. */
  isHolding = false;
  /** @type {Query} */
  query = EVERYTHING;
  /** @type {"loading"|"ready"|"failed"} */
  state = "loading";
  /** @type {api.Refusal|null} */
  failure = null;

  /** @type {Map<number, Rec>} */
  #byId = new Map();
  /** @type {string|null} */
  #next = null;
  /** @type {number|null} */
  #total = null;
  /** @type {Promise<void>|null} */
  #reading = null;
  /** What is under way belongs to this search; when another begins it is given up. */
  #work = new AbortController();
  #wanted = 0;
  /** What happened while the list is being read from its beginning. @type {Happened[]|null} */
  #meanwhile = null;
  /** @type {((change: Change) => void)[]} */
  #listeners = [];

  /** @param {(change: Change) => void} listener */
  listen(listener) {
    this.#listeners.push(listener);
  }

  /** @param {Change} change */
  #tell(change) {
    for (const listener of this.#listeners) listener(change);
  }

  /** How many there are: more than were read, perhaps; null where nobody knows yet. */
  get total() {
    return this.#next === null && this.state === "ready" ? this.records.length : this.#total;
  }

  get isWhole() {
    return this.#next === null && this.state === "ready";
  }

  /** @param {number} id */
  get(id) {
    return this.#byId.get(id);
  }

  /** Where it stands; -1 where it is not among those that were read. @param {number} id */
  indexOf(id) {
    const index = placeOf(this.records, id);
    return this.records[index]?.id === id ? index : -1;
  }

  /** Everyone who is known to have uploaded something. */
  people() {
    return [...new Set(this.records.map((rec) => rec.uploader))].sort((a, b) => a.localeCompare(b));
  }

  /** Begins another search; what was found before stays until it has a page. @param {Query} query */
  async open(query) {
    this.#work.abort();
    this.#work = new AbortController();
    this.query = query;
    this.state = "loading";
    this.failure = null;
    this.#reading = null;
    this.#meanwhile = [];
    this.#tell({ kind: "state" });
    await this.#first(this.#work.signal);
  }

  /** Reads everything again, as far as it was read; what is looked at stays until then, and where it is. */
  async reload() {
    if (this.state !== "ready") return this.open(this.query);
    this.#work.abort();
    this.#work = new AbortController();
    const { signal } = this.#work;
    this.#meanwhile = [];
    let found;
    try {
      found = await begin(this.query, this.records.length, signal);
    } catch {
      // Who cannot be reached now is asked again when the session is back.
      return;
    }
    if (signal.aborted) return;
    const before = this.#byId;
    this.#byId = new Map();
    this.records = [];
    this.waiting = [];
    this.#append(found.images, before);
    this.#next = found.next;
    this.#total = found.total;
    this.#tell({ kind: "changed" });
    this.#hearMeanwhile();
  }

  #hearMeanwhile() {
    const meanwhile = this.#meanwhile ?? [];
    this.#meanwhile = null;
    for (const happened of meanwhile) this.apply(happened);
  }

  /** @param {AbortSignal} signal */
  async #first(signal) {
    try {
      const found = await begin(this.query, FIRST_PAGE, signal);
      this.records = [];
      this.waiting = [];
      this.#byId.clear();
      this.#append(found.images);
      this.#next = found.next;
      this.#total = found.total;
      this.state = "ready";
      this.#wanted = 0;
      this.#tell({ kind: "reset" });
      this.#hearMeanwhile();
    } catch (error) {
      if (signal.aborted) return;
      this.#fail(error);
    }
  }

  /** @param {unknown} error */
  #fail(error) {
    this.failure = error instanceof api.Refusal ? error : new api.Refusal(0, "internal", String(error), null);
    if (this.state === "loading") this.state = "failed";
    this.#tell({ kind: "state" });
  }

  /** @param {Told[]} images @param {Map<number, Rec>} [before] the records that are shown already */
  #append(images, before) {
    for (const told of images) {
      if (this.#byId.has(told.id)) continue;
      const had = before?.get(told.id);
      const rec = had ? Object.assign(had, record(told), { fault: had.fault }) : record(told);
      this.records.push(rec);
      this.#byId.set(rec.id, rec);
    }
  }

  /** What is looked at: reads on until enough lies ahead of it. @param {number} index */
  look(index) {
    if (index + AHEAD > this.#wanted) this.#wanted = index + AHEAD;
    if (this.#reading === null && this.#next !== null && this.records.length < this.#wanted) {
      void this.want(this.#wanted).catch(() => {});
    }
  }

  /** Reads until `count` records are there, or all. @param {number} count */
  want(count) {
    this.#wanted = Math.max(this.#wanted, count);
    if (this.#reading) return this.#reading;
    const reading = this.#read(this.#work.signal).finally(() => {
      // Another search may read by now.
      if (this.#reading === reading) this.#reading = null;
    });
    this.#reading = reading;
    return reading;
  }

  /** @param {AbortSignal} signal */
  async #read(signal) {
    while (this.state === "ready" && this.#next !== null && this.records.length < this.#wanted) {
      try {
        const page = await after(this.query, this.#next, signal);
        if (signal.aborted) return;
        this.#append(page.images);
        this.#next = page.next;
        this.failure = null;
        this.#tell({ kind: "appended" });
      } catch (error) {
        if (!signal.aborted) this.#fail(error);
        return;
      }
      // Between pages whoever scrolls or types goes first.
      await new Promise((resolve) => setTimeout(resolve));
      if (signal.aborted) return;
    }
  }

  /** Takes in what happened. @param {Happened} happened */
  apply(happened) {
    this.#meanwhile?.push(happened);
    if (this.state !== "ready") return;
    const { event, image } = happened;
    if (!image) {
      // An old server tells no more than that there is something new.
      void this.newest();
    } else if (event === "DELETED" || event === "PURGED") {
      this.remove(image.id);
    } else if (event === "NEW_UPLOAD" || event === "RESTORED" || event === "RENAMED") {
      this.put(image, event === "NEW_UPLOAD");
    }
  }

  /** Reads the newest page and takes in what is new there. */
  async newest() {
    const page = await begin(this.query, FIRST_PAGE, this.#work.signal).catch(() => null);
    // Where that fails, what is new is seen with the next event, or the next visit.
    for (const told of page?.images.reverse() ?? []) this.put(told, true);
  }

  /**
   * Puts a record where it belongs, or changes the one that is there.
   * @param {Told} told
   * @param {boolean} isNew
   */
  put(told, isNew) {
    const rec = record(told);
    const had = this.#byId.get(rec.id);
    if (had) {
      // The event's record is as it was then: it may lack what has been made since.
      const { ratio, placeholder, fault } = had;
      Object.assign(had, rec, { placeholder: rec.placeholder ?? placeholder, fault });
      this.#tell({ kind: "record", rec: had });
      if (ratio !== had.ratio) this.#tell({ kind: "changed" });
      return;
    }
    if (!fits(this.query, rec)) return;
    if (isNew && this.isHolding && (this.records.length === 0 || rec.id > this.records[0].id)) {
      const place = placeOf(this.waiting, rec.id);
      if (this.waiting[place]?.id === rec.id) return;
      this.waiting.splice(place, 0, rec);
      this.#tell({ kind: "waiting" });
      return;
    }
    const place = placeOf(this.records, rec.id);
    // Further down than what was read: it comes with its page.
    if (this.#total !== null) this.#total += 1;
    if (place === this.records.length && this.#next !== null) return;
    this.records.splice(place, 0, rec);
    this.#byId.set(rec.id, rec);
    this.#tell({ kind: "changed" });
  }

  /** Shows what waits. */
  release() {
    if (this.waiting.length === 0) return;
    const fresh = this.waiting.filter((rec) => !this.#byId.has(rec.id));
    this.waiting = [];
    this.records = [...fresh, ...this.records];
    for (const rec of fresh) this.#byId.set(rec.id, rec);
    if (this.#total !== null) this.#total += fresh.length;
    this.#tell({ kind: "changed" });
  }

  /** @param {number} id */
  remove(id) {
    const waits = placeOf(this.waiting, id);
    if (this.waiting[waits]?.id === id) {
      this.waiting.splice(waits, 1);
      this.#tell({ kind: "waiting" });
      return;
    }
    const index = this.indexOf(id);
    if (index < 0) return;
    this.records.splice(index, 1);
    this.#byId.delete(id);
    if (this.#total !== null) this.#total -= 1;
    this.#tell({ kind: "changed" });
  }

  /** Remembers that an image cannot be shown. @param {Rec} rec */
  markFault(rec) {
    rec.fault = true;
    this.#tell({ kind: "record", rec });
  }
}
