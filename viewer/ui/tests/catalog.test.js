// Pages, changes and searches in every order that they may come in.

import assert from "node:assert/strict";
import test from "node:test";
import { Repository, settle, told } from "./fake.js";
import { Catalog } from "../catalog.js";
import { EVERYTHING } from "../record.js";

async function opened(count) {
  const repository = new Repository(count);
  const catalog = new Catalog();
  const changes = [];
  catalog.listen((change) => changes.push(change.kind));
  await catalog.open(EVERYTHING);
  return { repository, catalog, changes };
}

const ids = (catalog) => catalog.records.map((rec) => rec.id);
const down = (from, to) => Array.from({ length: from - to + 1 }, (_, i) => from - i);

test("begins with a small page and reads on as far as is looked at", async () => {
  const { repository, catalog } = await opened(9000);
  assert.equal(catalog.records.length, 100);
  assert.equal(catalog.total, 9000);
  catalog.look(30);
  await catalog.want(0);
  assert.equal(catalog.records.length, 3100);
  catalog.look(50);
  await settle();
  assert.equal(catalog.records.length, 3100, "enough lies ahead");
  await catalog.want(Infinity);
  assert.deepEqual(ids(catalog), down(9000, 1));
  assert.ok(catalog.isWhole);
  assert.equal(repository.asked.length, 10);
});

test("an empty page with a cursor is no end", async () => {
  const repository = new Repository(300);
  const list = repository.images;
  const catalog = new Catalog();
  const answer = globalThis.fetch;
  let first = true;
  globalThis.fetch = async (path, init) => {
    if (!first) return answer(path, init);
    first = false;
    return new Response(JSON.stringify({ images: [], next: "250", total: null }));
  };
  await catalog.open({ ...EVERYTHING, text: "image" });
  assert.equal(catalog.state, "ready");
  assert.equal(catalog.records[0].id, 249);
  assert.equal(list.length, 300);
});

test("what is new waits while one looks further down, and is shown once", async () => {
  const { repository, catalog, changes } = await opened(50);
  catalog.isHolding = true;
  for (const id of [51, 52, 53]) catalog.apply(repository.happen("NEW_UPLOAD", told(id)));
  catalog.apply(repository.happen("NEW_UPLOAD", told(52)));
  assert.equal(catalog.records.length, 50);
  assert.deepEqual(catalog.waiting.map((rec) => rec.id), [53, 52, 51]);
  catalog.apply(repository.happen("DELETED", told(52)));
  assert.ok(changes.includes("waiting"));
  catalog.release();
  assert.deepEqual(ids(catalog).slice(0, 3), [53, 51, 50]);
  assert.equal(catalog.total, 52);
  catalog.isHolding = false;
  catalog.apply(repository.happen("NEW_UPLOAD", told(54)));
  assert.equal(catalog.records[0].id, 54);
});

test("deleted, restored, renamed and purged ones come and go at their places", async () => {
  const { repository, catalog } = await opened(5);
  catalog.apply(repository.happen("DELETED", told(3)));
  assert.deepEqual(ids(catalog), [5, 4, 2, 1]);
  catalog.apply(repository.happen("RESTORED", told(3)));
  catalog.apply(repository.happen("RESTORED", told(3)));
  assert.deepEqual(ids(catalog), [5, 4, 3, 2, 1]);
  catalog.apply(repository.happen("RENAMED", told(3, { name: "other.jpg" })));
  assert.equal(catalog.get(3).name, "other.jpg");
  catalog.apply(repository.happen("PURGED", told(1)));
  assert.equal(catalog.total, 4);
  catalog.apply(repository.happen("SOMETHING_NEWER", told(9)));
  assert.deepEqual(ids(catalog), [5, 4, 3, 2]);
});

test("an event that lacks the placeholder takes none away", async () => {
  const { repository, catalog } = await opened(0);
  catalog.put(told(1, { placeholder: "1QcSHQRnh493V4dIh4eXh1h4kJUI" }), true);
  catalog.apply(repository.happen("RENAMED", told(1)));
  assert.equal(catalog.get(1).placeholder, "1QcSHQRnh493V4dIh4eXh1h4kJUI");
});

test("what lies below the pages that were read comes with its page", async () => {
  const { repository, catalog } = await opened(500);
  repository.images = repository.images.filter((image) => image.id !== 7);
  catalog.apply(repository.happen("RENAMED", told(7)));
  assert.equal(catalog.records.length, 100);
  await catalog.want(Infinity);
  assert.equal(catalog.records.length, 499);
});

test("an event that is heard while the first page is under way is not lost", async () => {
  const repository = new Repository(10);
  const catalog = new Catalog();
  repository.waits = true;
  const open = catalog.open(EVERYTHING);
  await settle();
  catalog.apply(repository.happen("DELETED", told(4)));
  catalog.apply(repository.happen("NEW_UPLOAD", told(11)));
  repository.waits = false;
  repository.release();
  await open;
  assert.deepEqual(ids(catalog), [11, 10, 9, 8, 7, 6, 5, 3, 2, 1]);
});

test("the last search wins, whichever is answered first", async () => {
  const { repository, catalog } = await opened(40);
  repository.waits = true;
  const first = catalog.open({ ...EVERYTHING, text: "image 1" });
  await settle();
  const release = repository.release;
  repository.waits = false;
  await catalog.open({ ...EVERYTHING, text: "image 40" });
  release();
  await first;
  assert.deepEqual(ids(catalog), [40]);
  assert.equal(catalog.total, 1);
});

test("what arrives is shown if the search finds it", async () => {
  const { repository, catalog } = await opened(10);
  await catalog.open({ ...EVERYTHING, text: "beach" });
  catalog.apply(repository.happen("NEW_UPLOAD", told(11)));
  catalog.apply(repository.happen("NEW_UPLOAD", told(12, { name: "Beach.jpg" })));
  assert.deepEqual(ids(catalog), [12]);
});

test("reading everything again keeps what is shown until it is there", async () => {
  const { repository, catalog, changes } = await opened(3000);
  await catalog.want(2000);
  const kept = catalog.get(1500);
  kept.fault = true;
  repository.images = repository.images.filter((image) => image.id % 10 !== 0);
  repository.waits = true;
  const reload = catalog.reload();
  await settle();
  assert.ok(catalog.records.length >= 2000);
  catalog.apply(repository.happen("DELETED", told(2999)));
  repository.waits = false;
  repository.release();
  await reload;
  assert.ok(!ids(catalog).some((id) => id % 10 === 0 || id === 2999));
  assert.ok(catalog.records.length >= 1990);
  assert.equal(catalog.get(1501), catalog.records[catalog.indexOf(1501)]);
  assert.equal(changes.filter((kind) => kind === "reset").length, 1);
});

test("who cannot be reached loses nothing", async () => {
  const { repository, catalog } = await opened(3000);
  repository.refusal = "unreachable";
  await catalog.want(1000);
  assert.equal(catalog.state, "ready");
  assert.equal(catalog.failure.code, "unreachable");
  await catalog.reload();
  assert.equal(catalog.records.length, 100);
  repository.refusal = null;
  await catalog.want(1000);
  assert.equal(catalog.records.length, 1100);
  assert.equal(catalog.failure, null);
});

test("a first page that is refused says why", async () => {
  const repository = new Repository(1);
  repository.refusal = { status: 401, code: "unauthenticated", message: "nobody", hint: "ask" };
  const catalog = new Catalog();
  await catalog.open(EVERYTHING);
  assert.equal(catalog.state, "failed");
  assert.deepEqual([catalog.failure.status, catalog.failure.hint], [401, "ask"]);
});
