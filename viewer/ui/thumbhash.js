// Decodes a ThumbHash (evanw.github.io/thumbhash): some 25 bytes that say how an image looks from afar.
//
// Called for the ground of a tile until its picture has come. Pure. The pixels are few on purpose: the
// highest frequency in a hash is 7 half waves, so 20 pixels hold all of it, the browser smooths the rest,
// and one takes some 20 microseconds, so that none needs to be kept.

/** The longer side of what is decoded. */
export const SIDE = 20;

/** @typedef {{width: number, height: number, pixels: Uint8ClampedArray<ArrayBuffer>}} Blur */

/**
 * @param {string} base64
 * @returns {Blur|null} null for what is no ThumbHash
 */
export function decode(base64) {
  /** @type {number[]} */
  let hash;
  try {
    hash = Array.from(atob(base64), (c) => c.charCodeAt(0));
  } catch {
    return null;
  }
  if (hash.length < 5) return null;
  const head = hash[0] | (hash[1] << 8) | (hash[2] << 16);
  const more = hash[3] | (hash[4] << 8);
  const hasAlpha = head >> 23 !== 0;
  const isLandscape = more >> 15 !== 0;
  if (hasAlpha && hash.length < 6) return null;
  const lx = Math.max(3, isLandscape ? (hasAlpha ? 5 : 7) : more & 7);
  const ly = Math.max(3, isLandscape ? more & 7 : hasAlpha ? 5 : 7);
  const alphaAverage = hasAlpha ? (hash[5] & 15) / 15 : 1;
  const alphaScale = hasAlpha ? (hash[5] >> 4) / 15 : 0;

  const start = hasAlpha ? 6 : 5;
  let read = 0;
  /** @param {number} nx @param {number} ny @param {number} scale */
  const channel = (nx, ny, scale) => {
    /** @type {number[]} */
    const values = [];
    for (let cy = 0; cy < ny; cy += 1) {
      for (let cx = cy ? 0 : 1; cx * ny < nx * (ny - cy); cx += 1) {
        const nibble = ((hash[start + (read >> 1)] ?? 0) >> ((read & 1) << 2)) & 15;
        read += 1;
        values.push((nibble / 7.5 - 1) * scale);
      }
    }
    return values;
  };
  const l = channel(lx, ly, ((head >> 18) & 31) / 31);
  const p = channel(3, 3, (((more >> 3) & 63) / 63) * 1.25);
  const q = channel(3, 3, (((more >> 9) & 63) / 63) * 1.25);
  const a = hasAlpha ? channel(5, 5, alphaScale) : [];
  const averages = [(head & 63) / 63, ((head >> 6) & 63) / 31.5 - 1, ((head >> 12) & 63) / 31.5 - 1];

  const ratio = lx / ly;
  const width = Math.max(1, Math.round(ratio > 1 ? SIDE : SIDE * ratio));
  const height = Math.max(1, Math.round(ratio > 1 ? SIDE / ratio : SIDE));
  const waveX = waves(width, Math.max(lx, hasAlpha ? 5 : 3));
  const waveY = waves(height, Math.max(ly, hasAlpha ? 5 : 3));
  const pixels = new Uint8ClampedArray(width * height * 4);
  /** @param {number[]} values @param {number} nx @param {number} ny @param {number} x @param {number} y */
  const sum = (values, nx, ny, x, y) => {
    let total = 0;
    let i = 0;
    for (let cy = 0; cy < ny; cy += 1) {
      const fy = waveY[cy][y] * 2;
      for (let cx = cy ? 0 : 1; cx * ny < nx * (ny - cy); cx += 1) {
        total += values[i] * waveX[cx][x] * fy;
        i += 1;
      }
    }
    return total;
  };
  for (let y = 0, at = 0; y < height; y += 1) {
    for (let x = 0; x < width; x += 1, at += 4) {
      const light = averages[0] + sum(l, lx, ly, x, y);
      const py = averages[1] + sum(p, 3, 3, x, y);
      const pq = averages[2] + sum(q, 3, 3, x, y);
      const b = light - (2 / 3) * py;
      const r = (3 * light - b + pq) / 2;
      pixels[at] = r * 255;
      pixels[at + 1] = (r - pq) * 255;
      pixels[at + 2] = b * 255;
      pixels[at + 3] = (hasAlpha ? alphaAverage + sum(a, 5, 5, x, y) : 1) * 255;
    }
  }
  return { width, height, pixels };
}

/**
 * The cosines of one side.
 * @param {number} side
 * @param {number} count
 */
function waves(side, count) {
  return Array.from({ length: count }, (_, c) =>
    Float32Array.from({ length: side }, (__, i) => Math.cos((Math.PI / side) * (i + 0.5) * c)),
  );
}
