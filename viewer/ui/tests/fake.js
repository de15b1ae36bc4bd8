// A repository for the tests: a list in memory behind `fetch`, and a stream of events that tests write.
//
// Imported before what is tested, by its own import. Nothing waits for a clock.

globalThis.window = Object.assign(new EventTarget(), { setTimeout, clearTimeout });

/** @param {number} id */
export const told = (id, more = {}) => ({
  id,
  name: `image ${id}.jpg`,
  uploader: id % 2 ? "ana" : "bruno",
  size: 10,
  hash: "ab".repeat(32),
  media_type: "image/jpeg",
  width: 400,
  height: 300,
  orientation: 1,
  uploaded_at: new Date(Date.UTC(2026, 0, 1) + id * 60_000).toISOString(),
  taken_at: null,
  placeholder: null,
  ...more,
});

export class Repository {
  images = [];
  events = [];
  seq = 0;
  /** What was asked for. */
  asked = [];
  /** Set: the next answer is this refusal. */
  refusal = null;
  /** Set: answers wait until it is called. */
  release = null;
  /** Pages are no longer than this. */
  most = 1000;

  constructor(count = 0) {
    for (let id = count; id >= 1; id -= 1) this.images.push(told(id));
    globalThis.fetch = (path, init) => this.#answer(path, init);
  }

  async #answer(path, init = {}) {
    this.asked.push(`${init.method ?? "GET"} ${path}`);
    const url = new URL(path, "http://test/");
    const body = this.#find(url);
    if (this.waits) await new Promise((resolve) => (this.release = resolve));
    if (init.signal?.aborted) throw new DOMException("given up", "AbortError");
    const { refusal } = this;
    if (refusal === "unreachable") throw new TypeError("fetch failed");
    const told = refusal ? { error: refusal } : body;
    return new Response(JSON.stringify(told), { status: refusal?.status ?? 200 });
  }

  #find(url) {
    const query = url.searchParams;
    if (url.pathname === "/api/events") {
      const since = Number(query.get("since"));
      return { events: this.events.filter((event) => event.seq > since), next: null };
    }
    const before = Number(query.get("cursor") ?? Infinity);
    const size = Math.min(this.most, Number(query.get("limit")));
    const text = query.get("text") ?? "";
    const left = this.images.filter((image) => image.id < before && image.name.includes(text));
    const images = left.slice(0, size);
    const next = left.length > size ? String(images[size - 1].id) : null;
    return { images, next, total: text ? null : this.images.length };
  }

  /** Something happens; the event is returned. */
  happen(event, image, by = "bruno") {
    this.seq += 1;
    const happened = { event, seq: this.seq, at: image.uploaded_at, by, image };
    this.events.push(happened);
    return happened;
  }
}

/** Lets everything that is ready run. */
export const settle = () => new Promise((resolve) => setTimeout(resolve, 5));
