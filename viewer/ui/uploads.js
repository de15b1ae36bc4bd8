// Uploads under way: a queue, a few at a time, and the panel that tells how they do.
//
// Called by main with files; in the window the window uploads what was dropped and tells how it does, and
// this shows it. It never touches the records: what is new comes as an event.

import * as api from "./api.js";
import { isWindow, listen } from "./host.js";
import { icon, part } from "./part.js";
import { shown } from "./record.js";
import { count, refused, say, size } from "./texts.js";
import { tell } from "./toast.js";

/** @typedef {"queued"|"sending"|"stored"|"duplicate"|"failed"} State */

/**
 * @typedef {object} Job
 * @property {string} name
 * @property {File|null} file null for one of the window's
 * @property {number} done bytes
 * @property {number} total bytes
 * @property {State} state
 * @property {string} message
 * @property {boolean} mayGoWell whether the same may go well another time
 * @property {AbortController} work
 */

// Two at a time fill a line with small files; more would only make each slower.
const AT_ONCE = 2;
// Rows that are shown: those under way, those that failed, then the newest.
const ROWS = 40;
// So long the panel of what went well is looked at, in milliseconds.
const LOOK = 6000;
// A passing fault is waited out this long, in milliseconds, before the file counts as failed.
const PATIENCE = [1000, 3000, 9000];

export class Uploads {
  #panel = part("uploads");
  #list = part("uploads-list");
  /** @type {Job[]} */
  #jobs = [];
  #running = 0;
  #isDrawn = true;
  #isFirst = true;
  /** When the last one ended. */
  #over = -Infinity;
  #timer = 0;

  /** @param {{stored: (id: number|null) => void}} hooks `stored`: the first of a batch is in the repository */
  constructor(hooks) {
    this.hooks = hooks;
    part("uploads-close").addEventListener("click", () => this.#close());
    part("uploads-fold").addEventListener("click", () => {
      const isFolded = this.#panel.toggleAttribute("data-folded");
      part("uploads-fold").setAttribute("aria-expanded", String(!isFolded));
    });
    part("uploads-again").addEventListener("click", () => {
      for (const job of this.#jobs) if (mayTry(job)) job.state = "queued";
      this.#go();
    });
    listen((told) => {
      if (told.kind === "upload") this.#told(told);
    });
    window.addEventListener("beforeunload", (event) => {
      if (!isWindow && this.#jobs.some((job) => job.state === "queued" || job.state === "sending")) event.preventDefault();
    });
  }

  /** @param {File[]} files */
  add(files) {
    this.#begin();
    for (const file of files) {
      const work = new AbortController();
      this.#jobs.push({ name: file.name, file, done: 0, total: file.size, state: "queued", message: "", mayGoWell: false, work });
    }
    this.#go();
  }

  /** Another batch: what was finished a while before goes. */
  #begin() {
    clearTimeout(this.#timer);
    if (!this.#jobs.every(isOver) || performance.now() - this.#over < LOOK) return;
    this.#jobs = [];
    this.#isFirst = true;
    this.#panel.removeAttribute("data-folded");
  }

  /** @param {{name: string, done: number, total: number, state: string, code?: string|null, message?: string|null}} told */
  #told(told) {
    const state = /** @type {State} */ (told.state);
    let job = this.#jobs.find((some) => some.file === null && some.name === told.name && !isOver(some));
    if (!job) {
      this.#begin();
      const work = new AbortController();
      job = { name: told.name, file: null, done: 0, total: 0, state, message: "", mayGoWell: false, work };
      this.#jobs.push(job);
    }
    const { code, message } = told;
    const why = code ? refused(new api.Refusal(0, code, message ?? "", null)) : message;
    Object.assign(job, { done: told.done, total: told.total, state, message: why ?? "" });
    if (state === "stored") this.#stored(null);
    this.#finished();
    this.#soon();
  }

  /** @param {number|null} id */
  #stored(id) {
    if (this.#isFirst) this.hooks.stored(id);
    this.#isFirst = false;
  }

  #go() {
    this.#soon();
    while (this.#running < AT_ONCE) {
      const job = this.#jobs.find((some) => some.state === "queued" && some.file);
      if (!job) break;
      this.#running += 1;
      job.state = "sending";
      void this.#send(job).finally(() => {
        this.#running -= 1;
        this.#finished();
        this.#go();
      });
    }
  }

  /** @param {Job} job */
  async #send(job) {
    const { file } = job;
    if (!file) return;
    for (let tries = 0; ; tries += 1) {
      try {
        const sent = (/** @type {number} */ done) => {
          job.done = done;
          this.#soon();
        };
        const { image, duplicate } = await api.upload(file, sent, job.work.signal);
        job.state = duplicate ? "duplicate" : "stored";
        job.done = job.total;
        this.#stored(image.id);
        return;
      } catch (error) {
        if (job.work.signal.aborted) {
          this.#jobs = this.#jobs.filter((other) => other !== job);
          return;
        }
        const isPassing = error instanceof api.Refusal && error.isPassing && error.code !== "storage_full";
        if (!isPassing || tries >= PATIENCE.length) {
          job.state = "failed";
          job.message = refused(error);
          job.mayGoWell = isPassing || (error instanceof api.Refusal && error.code === "storage_full");
          return;
        }
        job.done = 0;
        this.#soon();
        await new Promise((resolve) => setTimeout(resolve, PATIENCE[tries]));
      }
    }
  }

  #finished() {
    if (this.#jobs.length === 0 || !this.#jobs.every(isOver)) return;
    tell(this.#summary());
    this.#over = performance.now();
    clearTimeout(this.#timer);
    if (this.#jobs.some((job) => job.state === "failed")) return;
    this.#timer = window.setTimeout(() => {
      if (!this.#panel.matches(":hover, :focus-within")) this.#close();
    }, LOOK);
  }

  #summary() {
    const over = this.#jobs.filter(isOver).length;
    const failed = this.#jobs.filter((job) => job.state === "failed").length;
    if (over < this.#jobs.length) return say("uploads.under-way", { n: over, total: this.#jobs.length });
    const stored = over - failed;
    const words = stored > 0 || failed === 0 ? [count("uploads.stored", stored)] : [];
    if (failed > 0) words.push(count("uploads.failed", failed));
    return words.join(", ");
  }

  #close() {
    for (const job of this.#jobs) if (!isOver(job)) job.work.abort();
    this.#jobs = this.#jobs.filter((job) => job.state === "sending" && job.file);
    this.#soon();
  }

  #soon() {
    if (!this.#isDrawn) return;
    this.#isDrawn = false;
    requestAnimationFrame(() => {
      this.#isDrawn = true;
      this.#draw();
    });
  }

  #draw() {
    this.#panel.hidden = this.#jobs.length === 0;
    part("uploads-title").textContent = this.#summary();
    part("uploads-again").hidden = !this.#jobs.some(mayTry) || this.#running > 0;
    const total = this.#jobs.reduce((sum, job) => sum + Math.max(1, job.total), 0);
    const done = this.#jobs.reduce((sum, job) => sum + (isOver(job) ? Math.max(1, job.total) : job.done), 0);
    const bar = /** @type {HTMLProgressElement} */ (part("uploads-bar"));
    bar.max = Math.max(1, total);
    bar.value = Math.min(done, total);
    bar.hidden = this.#jobs.every(isOver);
    /** @type {Job[]} */
    const seen = [];
    for (const state of ["sending", "failed", "queued", "stored", "duplicate"]) {
      for (const job of this.#jobs) if (job.state === state && seen.length < ROWS) seen.push(job);
    }
    this.#list.replaceChildren(...seen.map(row));
  }
}

/** @param {Job} job */
const mayTry = (job) => job.state === "failed" && job.file !== null && job.mayGoWell;

/** @param {Job} job */
const isOver = (job) => job.state === "stored" || job.state === "duplicate" || job.state === "failed";

/** @param {Job} job */
function row(job) {
  const item = document.createElement("li");
  item.dataset.upload = job.state;
  const name = document.createElement("bdi");
  name.textContent = shown(job.name);
  const how = document.createElement("span");
  if (job.state === "sending" && job.total > 0) {
    how.textContent = `${Math.floor((job.done / job.total) * 100)} %`;
  } else if (job.state === "failed") {
    how.textContent = job.message || say("failed");
  } else if (job.state === "queued") {
    how.textContent = job.total > 0 ? size(job.total) : say("uploads.queued");
  } else {
    how.textContent = say(`uploads.${job.state}`);
  }
  const sign = { queued: "clock", sending: "upload", stored: "check", duplicate: "check", failed: "alert" }[job.state];
  item.append(icon(sign), name, how);
  return item;
}
