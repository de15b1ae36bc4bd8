// What the page makes of a record, and which records a search finds.

import assert from "node:assert/strict";
import test from "node:test";
import { EVERYTHING, dayOf, fits, placeOf, record, shown, span, typeName } from "../record.js";

const told = {
  id: 7, name: "Praia à noite.jpg", uploader: "ana", size: 10, hash: "ab".repeat(32), media_type: "image/jpeg",
  width: 4000, height: 3000, orientation: 1, uploaded_at: "2026-03-31T12:00:00Z", taken_at: null, placeholder: null,
};

test("swaps the sides from orientation 5 on", () => {
  for (let orientation = 1; orientation <= 8; orientation += 1) {
    const rec = record({ ...told, orientation });
    assert.deepEqual([rec.width, rec.height], orientation >= 5 ? [3000, 4000] : [4000, 3000]);
    assert.equal(rec.ratio, rec.width / rec.height);
  }
});

test("bears what an old server does not tell", () => {
  const rec = record({
    id: 1, name: "a", uploader: "b", size: null, hash: null, media_type: null, width: null, height: null,
    uploaded_at: null, taken_at: null, placeholder: null,
  });
  assert.equal(rec.ratio, 1);
  assert.equal(rec.day, 0);
  assert.equal(typeName(rec), "?");
});

test("cuts what is very long", () => {
  assert.equal(record({ ...told, width: 10000, height: 10 }).ratio, 3);
  assert.equal(record({ ...told, width: 10, height: 10000 }).ratio, 0.45);
});

test("searches by name, person and local days", () => {
  const rec = record(told);
  const day = `${Math.floor(rec.day / 10000)}-03-31`;
  assert.equal(rec.day, dayOf(Date.parse(told.uploaded_at)));
  assert.ok(fits(EVERYTHING, rec));
  assert.ok(fits({ ...EVERYTHING, text: "PRAIA À" }, rec));
  assert.ok(fits({ ...EVERYTHING, text: "a\u0300 noite" }, rec), "the same letter written in two ways");
  assert.ok(!fits({ ...EVERYTHING, text: "serra" }, rec));
  assert.ok(!fits({ ...EVERYTHING, uploader: "Ana" }, rec));
  assert.ok(fits({ text: "", uploader: "ana", from: day, to: day }, rec));
  assert.ok(!fits({ ...EVERYTHING, to: "2026-03-30" }, rec));
  assert.ok(!fits({ ...EVERYTHING, from: "2026-04-01" }, rec));
});

test("a span ends when its last day does, also where clocks change", () => {
  const { from, before } = span({ ...EVERYTHING, from: "2026-03-31", to: "2026-03-31" });
  assert.equal(new Date(from).getDate(), 31);
  assert.equal(new Date(before).getDate(), 1);
  assert.deepEqual(span({ ...EVERYTHING, from: "tomorrow" }), { from: "", before: "" });
});

test("shows what would be invisible or turn a name around", () => {
  assert.equal(shown("evil\u202Egpj.exe"), "evil\\u{202e}gpj.exe");
  assert.equal(shown("a\nb\u0000c\u2066"), "a\\u{a}b\\u{0}c\\u{2066}");
  assert.equal(shown("família \u{1F468}\u200d\u{1F469} Ευα"), "família \u{1F468}\u200d\u{1F469} Ευα");
  assert.equal(shown("<img src=x onerror=alert(1)>"), "<img src=x onerror=alert(1)>");
});

test("names a type in the middle of a tile", () => {
  assert.equal(typeName(record({ ...told, media_type: "image/heic" })), "HEIC");
  assert.equal(typeName(record({ ...told, media_type: "image/svg+xml" })), "SVG");
  assert.equal(typeName(record({ ...told, media_type: "image/x-canon-cr2" })), "CANON-CR2");
  assert.equal(typeName(record({ ...told, media_type: null, name: "a.dng" })), "DNG");
});

test("finds the place among the newest first", () => {
  const records = [9, 7, 4, 2].map((id) => record({ ...told, id }));
  assert.deepEqual([10, 9, 8, 7, 3, 2, 1].map((id) => placeOf(records, id)), [0, 0, 1, 1, 3, 3, 4]);
});
