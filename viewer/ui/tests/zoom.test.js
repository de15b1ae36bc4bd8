// A picture stays under the pointer, fills what it can, and never leaves the stage.

import assert from "node:assert/strict";
import test from "node:test";
import { fit, fitScale, held, isZoomed, loupeAt, panBy, turned, wheelFactor, zoomAt } from "../zoom.js";

const stage = { width: 1000, height: 800 };
const large = { width: 4000, height: 3000 };
const small = { width: 300, height: 200 };

/** The pixel of the picture under a point. */
const under = (lie, at) => ({ x: (at.x - lie.x) / lie.scale, y: (at.y - lie.y) / lie.scale });

test("fits a large picture and does not blow a small one up", () => {
  assert.equal(fitScale(large, stage, 0, 1), 0.25);
  assert.equal(fitScale(large, stage, 1, 1), 0.2);
  assert.equal(fitScale(small, stage, 0, 1), 1);
  assert.equal(fitScale(small, stage, 0, 0.5), 0.5);
});

test("what is under the pointer stays there", () => {
  let lie = fit(large, stage, 0, 1);
  const at = { x: 120, y: -90 };
  lie = zoomAt(lie, 1, at, large, stage, 1);
  const before = under(lie, at);
  for (const factor of [1.2, 1.5, 0.8, 1.1]) {
    lie = zoomAt(lie, lie.scale * factor, at, large, stage, 1);
    const now = under(lie, at);
    assert.ok(Math.abs(now.x - before.x) < 1e-6 && Math.abs(now.y - before.y) < 1e-6);
  }
});

test("stays between all of it and four times its own pixels", () => {
  const lie = fit(large, stage, 0, 1);
  assert.equal(zoomAt(lie, 100, { x: 0, y: 0 }, large, stage, 1).scale, 4);
  const out = zoomAt({ ...lie, scale: 2, x: 500, y: 300 }, 0.01, { x: 10, y: 10 }, large, stage, 1);
  assert.deepEqual(out, lie);
  assert.equal(isZoomed(out, large, stage, 1), false);
  assert.equal(isZoomed({ ...lie, scale: 0.3 }, large, stage, 1), true);
});

test("leaves no gap where it is larger, and lies in the middle where it is not", () => {
  const lie = zoomAt(fit(large, stage, 0, 1), 1, { x: 0, y: 0 }, large, stage, 1);
  const far = panBy(lie, { x: 9999, y: -9999 }, large, stage);
  assert.deepEqual([far.x, far.y], [1500, -1100]);
  assert.deepEqual(held({ scale: 1, x: 50, y: 50, turns: 0 }, small, stage), { scale: 1, x: 0, y: 0, turns: 0 });
  const wide = held({ scale: 0.3, x: 999, y: 999, turns: 0 }, large, stage);
  assert.deepEqual([wide.x, wide.y], [100, 50]);
  const upright = held({ scale: 0.3, x: 999, y: 999, turns: 1 }, large, stage);
  assert.deepEqual([upright.x, upright.y], [0, 200]);
});

test("turns the sides", () => {
  assert.deepEqual(turned(large, 1), { width: 3000, height: 4000 });
  assert.deepEqual(turned(large, 2), large);
});

test("wheels of all kinds zoom with measure", () => {
  assert.ok(wheelFactor({ deltaY: -100, deltaMode: 0, ctrlKey: false }) > 1.1);
  assert.ok(wheelFactor({ deltaY: 100, deltaMode: 0, ctrlKey: false }) < 0.9);
  assert.ok(wheelFactor({ deltaY: -3, deltaMode: 1, ctrlKey: false }) < 1.3);
  assert.ok(wheelFactor({ deltaY: -100000, deltaMode: 2, ctrlKey: true }) < 2);
  assert.ok(wheelFactor({ deltaY: -2, deltaMode: 0, ctrlKey: true }) > 1.01);
});

test("a loupe shows what is under it", () => {
  const lie = fit(large, stage, 0, 1);
  // The picture's middle, seen from a point 100 to its left, is 400 to the right at four times the scale.
  assert.deepEqual(loupeAt(lie, 1, { x: -100, y: 0 }), { x: 400, y: 0 });
});

test("a picture without sides breaks nothing", () => {
  const lie = fit({ width: 0, height: 0 }, stage, 0, 1);
  assert.ok(Number.isFinite(lie.scale) && lie.x === 0);
});
