// Hashes of known pictures decode to their colours; anything else decodes to nothing and breaks nothing.

import assert from "node:assert/strict";
import test from "node:test";
import { SIDE, decode } from "../thumbhash.js";

// From the reference implementation's own page (MIT): a landscape at sunset, 23 by 32.
const SUNSET = "1QcSHQRnh493V4dIh4eXh1h4kJUI";

test("keeps the ratio within its side", () => {
  const blur = decode(SUNSET);
  assert.ok(blur);
  assert.equal(Math.max(blur.width, blur.height), SIDE);
  assert.equal(blur.pixels.length, blur.width * blur.height * 4);
  for (let i = 3; i < blur.pixels.length; i += 4) assert.equal(blur.pixels[i], 255);
});

test("means the colour that the hash tells on average", () => {
  const { pixels } = decode(SUNSET);
  const mean = [0, 1, 2].map((c) => {
    let sum = 0;
    for (let i = c; i < pixels.length; i += 4) sum += pixels[i];
    return sum / (pixels.length / 4);
  });
  // L, P and Q of the hash's first three bytes.
  const bytes = Uint8Array.from(atob(SUNSET), (c) => c.charCodeAt(0));
  const head = bytes[0] | (bytes[1] << 8) | (bytes[2] << 16);
  const [l, p, q] = [(head & 63) / 63, ((head >> 6) & 63) / 31.5 - 1, ((head >> 12) & 63) / 31.5 - 1];
  const b = l - (2 / 3) * p;
  const r = (3 * l - b + q) / 2;
  [r, r - q, b].forEach((value, i) => assert.ok(Math.abs(mean[i] - value * 255) < 12, `${mean} ${value * 255}`));
});

test("what is no hash is nothing", () => {
  for (const text of ["", "AAAA", "not base64 at all!", "€", "////"]) assert.equal(decode(text), null);
});

test("any bytes decode within bounds", () => {
  let state = 7;
  for (let n = 0; n < 500; n += 1) {
    let bytes = "";
    const length = 5 + (n % 30);
    for (let i = 0; i < length; i += 1) {
      state = (state * 1103515245 + 12345) % 2147483648;
      bytes += String.fromCharCode((state >> 16) & 255);
    }
    const blur = decode(btoa(bytes));
    if (!blur) continue;
    assert.ok(blur.width >= 1 && blur.width <= SIDE && blur.height >= 1 && blur.height <= SIDE);
  }
});
