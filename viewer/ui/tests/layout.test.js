// Rows fill their width, days keep their order, and what comes page by page lies as if it came at once.

import assert from "node:assert/strict";
import test from "node:test";
import { Layout, sizesFor } from "../layout.js";

/** Numbers that look random and are the same each time. */
function numbers(seed) {
  let state = seed;
  return () => {
    state = (state * 1664525 + 1013904223) % 4294967296;
    return state / 4294967296;
  };
}

function images(count, perDay, seed = 1) {
  const next = numbers(seed);
  let day = 20260331;
  return Array.from({ length: count }, (_, i) => {
    if (next() < 1 / perDay) day -= 1;
    return { id: count - i, day, ratio: 0.45 + next() * 2.55 };
  });
}

function laid(records, width) {
  const layout = new Layout(sizesFor(width));
  layout.extend(records);
  return layout;
}

for (const width of [320, 344, 760, 1400, 2500]) {
  test(`every image stands once, in order, inside of ${width} pixels`, () => {
    const records = images(3000, 9, width);
    const layout = laid(records, width);
    let expected = 0;
    let floor = 0;
    for (const row of layout.rows) {
      assert.equal(row.first, expected);
      expected += row.count;
      assert.ok(row.top >= floor || row.top === layout.rows[layout.rowOf(row.first - 1)].top);
      floor = Math.max(floor, row.top);
      const boxes = layout.boxes(row, records);
      const day = layout.days[row.day];
      boxes.forEach((box, i) => {
        assert.ok(box.width > 0 && box.height > 0);
        assert.ok(box.x >= day.x && box.x + box.width <= width, `${box.x} ${box.width}`);
        if (i > 0) assert.equal(box.x, boxes[i - 1].x + boxes[i - 1].width + layout.sizes.gap);
      });
      assert.ok(row.height <= layout.sizes.target * 1.4 + 1);
      assert.ok(row.top + row.height <= day.top + day.height);
    }
    assert.equal(expected, records.length);
  });
}

test("a full row ends at the width", () => {
  const records = images(500, Infinity);
  const layout = laid(records, 1000);
  for (const row of layout.rows.slice(0, -1)) {
    const last = layout.boxes(row, records).at(-1);
    assert.equal(last.x + last.width, 1000);
  }
});

test("pages of any size lie as the whole does", () => {
  for (const perDay of [1, 3, 20, 5000]) {
    const records = images(2000, perDay, perDay);
    const whole = laid(records, 900);
    for (const page of [1, 7, 100, 999]) {
      const grown = new Layout(sizesFor(900));
      for (let n = page; n < records.length + page; n += page) grown.extend(records.slice(0, n));
      assert.deepEqual(grown.rows, whole.rows);
      assert.deepEqual(grown.days, whole.days);
      assert.equal(grown.height, whole.height);
    }
  }
});

test("short days stand side by side and never over each other", () => {
  const records = images(400, 1.5);
  const layout = laid(records, 1400);
  let beside = 0;
  layout.days.forEach((day, i) => {
    const before = layout.days[i - 1];
    if (!before) return;
    if (day.top === before.top) {
      beside += 1;
      assert.ok(before.isShort && day.isShort && day.x >= before.x + before.width);
    } else {
      assert.equal(day.x, 0);
      assert.ok(day.top >= before.top + before.height);
    }
    assert.ok(day.x + day.width <= 1400);
  });
  assert.ok(beside > 50, String(beside));
});

test("finds rows by place and by image", () => {
  const records = images(3000, 4);
  const layout = laid(records, 1200);
  for (let y = -100; y < layout.height + 100; y += 37) {
    const at = layout.rowAt(y);
    const expected = layout.rows.findIndex((row) => row.top + row.height > y);
    assert.equal(at, expected < 0 ? layout.rows.length : expected);
  }
  layout.rows.forEach((row, i) => {
    assert.equal(layout.rowOf(row.first), i);
    assert.equal(layout.rowOf(row.first + row.count - 1), i);
  });
});

test("up is the way back of down, a row at a time", () => {
  const records = images(600, 3);
  const layout = laid(records, 1200);
  let index = 0;
  let steps = 0;
  for (;;) {
    const next = layout.beside(index, 1, records);
    if (next === index) break;
    assert.ok(layout.rows[layout.rowOf(next)].top > layout.rows[layout.rowOf(index)].top);
    index = next;
    steps += 1;
  }
  const tops = new Set(layout.rows.map((row) => row.top));
  assert.equal(steps, tops.size - 1);
  assert.equal(layout.beside(0, -1, records), 0);
});

test("nothing is no height", () => {
  const layout = laid([], 1000);
  assert.equal(layout.height, 0);
  assert.equal(layout.rowAt(0), 0);
});
