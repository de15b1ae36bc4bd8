// Selecting one, a range, all, and forgetting what is gone.

import assert from "node:assert/strict";
import test from "node:test";
import { Selection } from "../selection.js";

const records = [9, 8, 7, 6, 5].map((id) => ({ id }));
const indexOf = (id) => records.findIndex((rec) => rec.id === id);

test("a range goes both ways from where it began", () => {
  const selection = new Selection();
  selection.toggle(7);
  selection.extendTo(records, indexOf, 5);
  assert.deepEqual([...selection.ids].sort(), [5, 6, 7]);
  selection.extendTo(records, indexOf, 9);
  assert.equal(selection.count, 5);
});

test("a range without a beginning is one", () => {
  const selection = new Selection();
  selection.extendTo(records, indexOf, 6);
  assert.deepEqual([...selection.ids], [6]);
  selection.extendTo(records, indexOf, 404);
  assert.equal(selection.count, 1);
});

test("tells only what changes", () => {
  const selection = new Selection();
  let told = 0;
  selection.listen(() => (told += 1));
  selection.clear();
  assert.equal(told, 0);
  selection.addAll(records);
  selection.forget((id) => id > 6);
  assert.deepEqual([...selection.ids], [9, 8, 7]);
  selection.forget(() => true);
  assert.equal(told, 2);
});
