// Each event is heard once and in order, by either way; where some are missing, that is told.

import assert from "node:assert/strict";
import test, { beforeEach } from "node:test";
import { Repository, settle, told } from "./fake.js";

const streams = [];
globalThis.EventSource = class extends EventTarget {
  static OPEN = 1;
  static CLOSED = 2;
  readyState = 0;
  constructor(address) {
    super();
    this.address = address;
    streams.push(this);
  }
  close() {
    this.readyState = 2;
  }
  hello(seq) {
    this.readyState = 1;
    this.dispatchEvent(Object.assign(new Event("hello"), { data: JSON.stringify({ seq }) }));
  }
  say(happened) {
    this.onmessage({ data: JSON.stringify(happened) });
  }
  fail(readyState) {
    this.readyState = readyState;
    this.onerror();
  }
};

const { follow } = await import("../events.js");

beforeEach(() => streams.splice(0));

function listener() {
  const heard = { ids: [], states: [], lost: 0 };
  return {
    heard,
    event: (happened) => heard.ids.push(happened.seq),
    state: (state) => heard.states.push(state),
    lost: () => (heard.lost += 1),
  };
}

test("hears each event once, from where the list was read", () => {
  const repository = new Repository();
  const one = listener();
  follow(one, 7);
  assert.equal(streams[0].address, "api/events?since=7");
  streams[0].hello(7);
  repository.seq = 7;
  const events = [told(1), told(2), told(3)].map((image) => repository.happen("NEW_UPLOAD", image));
  for (const happened of [...events, ...events]) streams[0].say(happened);
  assert.deepEqual(one.heard.ids, [8, 9, 10]);
  assert.deepEqual(one.heard.states, ["connected"]);
});

test("an old server's events have no place in a history, and all are heard", () => {
  const one = listener();
  follow(one, null);
  streams[0].hello(0);
  for (let n = 0; n < 3; n += 1) streams[0].say({ event: "NEW_UPLOAD", seq: null, by: null, image: null });
  assert.equal(one.heard.ids.length, 3);
});

test("says that it waits while the browser comes back by itself", () => {
  const one = listener();
  follow(one, 3);
  streams[0].hello(3);
  streams[0].fail(0);
  streams[0].hello(5);
  assert.deepEqual(one.heard.states, ["connected", "waiting", "connected"]);
  assert.equal(one.heard.lost, 0, "the stream itself tells what was missed");
});

test("another history is read anew", () => {
  const one = listener();
  follow(one, 100);
  streams[0].hello(40);
  assert.equal(one.heard.lost, 1);
  streams[0].say({ event: "NEW_UPLOAD", seq: 41, by: "ana", image: told(1) });
  assert.deepEqual(one.heard.ids, [41]);
});

test("a stream that is refused as ahead begins anew; one that is refused otherwise ends", async () => {
  const repository = new Repository();
  const one = listener();
  const feed = follow(one, 9);
  repository.refusal = { status: 409, code: "ahead", message: "the history ends earlier", hint: null };
  streams[0].fail(2);
  await settle();
  assert.equal(one.heard.lost, 1);
  feed.wake();
  assert.equal(streams[1].address, "api/events");
  repository.refusal = { status: 401, code: "unauthenticated", message: "nobody", hint: null };
  streams[1].fail(2);
  await settle();
  assert.equal(one.heard.states.at(-1), "refused");
});

test("waking opens what is not open, and leaves what is", () => {
  const feed = follow(listener(), 1);
  streams[0].hello(1);
  feed.wake();
  assert.equal(streams.length, 1);
  streams[0].fail(0);
  feed.wake();
  assert.equal(streams.length, 2);
});
