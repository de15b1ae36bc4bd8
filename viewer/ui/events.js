// What happens in the repository while one looks: one interface, two ways that it comes.
//
// Called by main. In a browser server-sent events bring it, in the window its messages do. Either way each
// event is told once and in order, and where some may be missing they are asked for (`catchUp`) or, where
// that cannot be, the listener is told to read everything again (`lost`). It changes no record itself.

/** @import {Told} from "./record.js" */
import * as api from "./api.js";
import { isWindow, listen } from "./host.js";

/**
 * @typedef {object} Happened
 * @property {string} event
 * @property {number|null} seq
 * @property {string|null} by
 * @property {Told|null} image
 */

/** How it stands with the repository; `gone`: the daemon behind the window is away. */
/** @typedef {"connecting"|"connected"|"waiting"|"offline"|"refused"|"gone"} State */

/**
 * @typedef {object} Listener
 * @property {(happened: Happened) => void} event
 * @property {(state: State, message: string) => void} state
 * @property {() => void} lost what was shown may be of another history: read everything again
 */

// Past so many missed events, reading the list again is less than hearing them all.
const MOST_MISSED = 2000;

// Between tries that the browser does not make by itself, in milliseconds.
const PATIENCE = [1000, 2000, 4000, 8000, 15000];

const STATES = ["connecting", "connected", "waiting", "offline", "refused", "gone"];

class Feed {
  /** The newest event that was heard. @type {number|null} */
  seq = null;
  /** @type {Promise<void>|null} */
  catching = null;
  /** What was heard while missed events were being asked for. @type {Happened[]} */
  kept = [];

  /** @param {Listener} listener @param {number|null} seq */
  constructor(listener, seq) {
    this.listener = listener;
    this.seq = seq;
  }

  /**
   * Takes up the place in the history that a stream begins at.
   * @param {number} seq
   * @returns {boolean} whether it lies before what was heard: then it is another history
   */
  begin(seq) {
    const isOther = this.seq !== null && seq < this.seq;
    if (this.seq === null || isOther) this.seq = seq;
    return isOther;
  }

  forget() {
    this.seq = null;
  }

  /** @param {Happened} happened */
  hear(happened) {
    if (this.catching) {
      this.kept.push(happened);
      return;
    }
    const { seq } = happened;
    if (typeof seq === "number") {
      if (this.seq !== null && seq <= this.seq) return;
      this.seq = seq;
    }
    this.listener.event(happened);
  }

  /** Asks for what was missed since the newest event that was heard. */
  catchUp() {
    if (this.seq === null) {
      this.listener.lost();
      return;
    }
    this.catching ??= this.#missed(this.seq).finally(() => {
      this.catching = null;
      for (const happened of this.kept.splice(0)) this.hear(happened);
    });
  }

  /** @param {number} since */
  async #missed(since) {
    /** @type {Happened[]} */
    const missed = [];
    try {
      for (let next = since; ; ) {
        const page = await api.events(next);
        missed.push(...page.events);
        if (page.next === null || page.events.length === 0) break;
        if (missed.length > MOST_MISSED) throw new Error("too many");
        next = page.next;
      }
    } catch (error) {
      // Not reached: whoever comes back later catches up then.
      if (error instanceof api.Refusal && error.isPassing) return;
      this.forget();
      this.listener.lost();
      return;
    }
    for (const happened of missed) {
      this.seq = happened.seq ?? this.seq;
      this.listener.event(happened);
    }
  }
}

/** By server-sent events. The browser comes back by itself and says what it heard last. */
class SourceFeed extends Feed {
  tries = 0;
  /** @type {number|undefined} */
  timer = undefined;
  /** @type {EventSource|null} */
  source = null;

  open() {
    clearTimeout(this.timer);
    this.source?.close();
    const source = new EventSource(api.liveAddress(this.seq));
    this.source = source;
    source.addEventListener("hello", (event) => {
      const { seq } = JSON.parse(event.data);
      this.tries = 0;
      const isBack = this.begin(Number(seq));
      this.listener.state("connected", "");
      if (isBack) this.listener.lost();
    });
    source.onmessage = (event) => this.hear(JSON.parse(event.data));
    source.onerror = () => {
      this.listener.state("waiting", "");
      if (source.readyState === EventSource.CLOSED) void this.#ended();
    };
  }

  /** The answer was no stream: finds out why, and tries again. */
  async #ended() {
    try {
      await api.me();
      if (this.seq !== null) await api.events(this.seq);
    } catch (error) {
      if (error instanceof api.Refusal && error.code === "ahead") {
        this.forget();
        this.listener.lost();
      } else if (error instanceof api.Refusal && error.status === 401) {
        this.listener.state("refused", error.message);
        return;
      }
    }
    const wait = PATIENCE[Math.min(this.tries, PATIENCE.length - 1)];
    this.tries += 1;
    this.timer = window.setTimeout(() => this.open(), wait);
  }

  /** The computer woke up, or its network is back. */
  wake() {
    if (this.source?.readyState !== EventSource.OPEN) this.open();
  }
}

/**
 * Hears what happens from now on.
 * @param {Listener} listener
 * @param {number|null} seq of the newest change that is known
 * @returns {{wake: () => void}}
 */
export function follow(listener, seq) {
  if (!isWindow) {
    const feed = new SourceFeed(listener, seq);
    feed.open();
    return feed;
  }
  const feed = new Feed(listener, seq);
  let was = "connected";
  listen((told) => {
    if (told.kind === "event") feed.hear(told.event);
    if (told.kind === "session" && STATES.includes(told.state)) {
      const state = /** @type {State} */ (told.state);
      listener.state(state, told.message ?? "");
      if (state === "connected" && was !== "connected") feed.catchUp();
      was = state;
    }
  });
  return { wake: () => {} };
}
