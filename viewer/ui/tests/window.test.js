// In the window: events come as its messages, and what was missed while it was cut off is asked for.

import assert from "node:assert/strict";
import test from "node:test";
import { Repository, settle, told } from "./fake.js";

const posts = [];
Object.assign(globalThis.window, {
  imgrepoWindow: { version: 1, drops: "paths" },
  ipc: { postMessage: (text) => posts.push(JSON.parse(text)) },
});
const { follow } = await import("../events.js");
const { isWindow, post } = await import("../host.js");

const tell = (detail) => window.dispatchEvent(Object.assign(new Event("imgrepo"), { detail }));

function listener() {
  const heard = { ids: [], states: [], lost: 0 };
  return {
    heard,
    event: (happened) => heard.ids.push(happened.seq),
    state: (state, message) => heard.states.push(message ? `${state}: ${message}` : state),
    lost: () => (heard.lost += 1),
  };
}

test("tells the window in its own words", () => {
  assert.ok(isWindow);
  post({ do: "title", text: "a" });
  assert.deepEqual(posts, [{ do: "title", text: "a" }]);
});

test("asks for what it missed, and hears the rest after it", async () => {
  const repository = new Repository();
  const one = listener();
  follow(one, 0);
  tell({ kind: "event", event: repository.happen("NEW_UPLOAD", told(1)) });
  tell({ kind: "session", state: "gone", message: "no daemon" });
  repository.happen("NEW_UPLOAD", told(2));
  repository.happen("NEW_UPLOAD", told(3));
  repository.waits = true;
  tell({ kind: "session", state: "connected", message: null });
  await settle();
  tell({ kind: "event", event: repository.happen("NEW_UPLOAD", told(4)) });
  repository.waits = false;
  repository.release();
  await settle();
  assert.deepEqual(one.heard.ids, [1, 2, 3, 4]);
  assert.deepEqual(one.heard.states, ["gone: no daemon", "connected"]);
  assert.equal(one.heard.lost, 0);
});

test("reads everything anew where nobody knows what was missed", async () => {
  const repository = new Repository();
  const unknown = listener();
  follow(unknown, null);
  tell({ kind: "session", state: "waiting", message: null });
  tell({ kind: "session", state: "connected", message: null });
  assert.equal(unknown.heard.lost, 1);
  const ahead = listener();
  follow(ahead, 50);
  repository.refusal = { status: 409, code: "ahead", message: "the history ends earlier", hint: null };
  tell({ kind: "session", state: "waiting", message: null });
  tell({ kind: "session", state: "connected", message: null });
  await settle();
  assert.equal(ahead.heard.lost, 1);
});

test("messages of another shape are nothing", () => {
  const one = listener();
  follow(one, 0);
  for (const detail of [null, {}, { kind: 7 }, { kind: "session", state: "dancing" }]) tell(detail);
  assert.deepEqual(one.heard.states, []);
});
