// How a picture lies on the stage: its scale, its place, its quarter turns, and what each gesture makes of
// them.
//
// Called by the stage. Pure: a lie and an input give the next lie. Lengths are CSS pixels; the place is
// that of the picture's middle, counted from the stage's middle.

/** @typedef {{scale: number, x: number, y: number, turns: number}} Lie */
/** @typedef {{width: number, height: number}} Size */
/** @typedef {{x: number, y: number}} Point */

/** Four device pixels for one of the picture: past that there is nothing more to see. */
const LARGEST = 4;

/**
 * The picture's sides as they lie, in its own pixels.
 * @param {Size} picture
 * @param {number} turns
 * @returns {Size}
 */
export function turned(picture, turns) {
  return turns % 2 === 0 ? picture : { width: picture.height, height: picture.width };
}

/**
 * The scale at which all of it is seen. A small picture is not blown up past its own pixels (`whole`).
 * @param {Size} picture
 * @param {Size} stage
 * @param {number} turns
 * @param {number} whole CSS pixels of one of the picture's at 100 %: 1 by the ratio of the device
 */
export function fitScale(picture, stage, turns, whole) {
  const { width, height } = turned(picture, turns);
  if (width <= 0 || height <= 0) return whole;
  return Math.min(stage.width / width, stage.height / height, whole);
}

/**
 * @param {Size} picture
 * @param {Size} stage
 * @param {number} turns
 * @param {number} whole
 * @returns {Lie}
 */
export function fit(picture, stage, turns, whole) {
  return { scale: fitScale(picture, stage, turns, whole), x: 0, y: 0, turns };
}

/**
 * Scaled to `scale` with what is under `at` staying there, within the bounds of sense.
 * @param {Lie} lie
 * @param {number} scale
 * @param {Point} at from the stage's middle
 * @param {Size} picture
 * @param {Size} stage
 * @param {number} whole
 * @returns {Lie}
 */
export function zoomAt(lie, scale, at, picture, stage, whole) {
  const least = fitScale(picture, stage, lie.turns, whole);
  const next = Math.min(Math.max(scale, least), Math.max(least, whole * LARGEST));
  const factor = next / lie.scale;
  const moved = { ...lie, scale: next, x: at.x - (at.x - lie.x) * factor, y: at.y - (at.y - lie.y) * factor };
  return held(moved, picture, stage);
}

/**
 * Moved, and held where some of it always fills the stage.
 * @param {Lie} lie
 * @param {Point} by
 * @param {Size} picture
 * @param {Size} stage
 * @returns {Lie}
 */
export function panBy(lie, by, picture, stage) {
  return held({ ...lie, x: lie.x + by.x, y: lie.y + by.y }, picture, stage);
}

/**
 * Held: a side that is longer than the stage leaves no gap, one that is shorter lies in the middle.
 * @param {Lie} lie
 * @param {Size} picture
 * @param {Size} stage
 * @returns {Lie}
 */
export function held(lie, picture, stage) {
  const { width, height } = turned(picture, lie.turns);
  const roomX = Math.max(0, (width * lie.scale - stage.width) / 2);
  const roomY = Math.max(0, (height * lie.scale - stage.height) / 2);
  return { ...lie, x: clamp(lie.x, roomX), y: clamp(lie.y, roomY) };
}

/** @param {number} value @param {number} room */
const clamp = (value, room) => Math.min(room, Math.max(-room, value)) || 0;

/**
 * Whether there is more of the picture than the stage shows.
 * @param {Lie} lie
 * @param {Size} picture
 * @param {Size} stage
 * @param {number} whole
 */
export function isZoomed(lie, picture, stage, whole) {
  return lie.scale > fitScale(picture, stage, lie.turns, whole) * 1.001;
}

/**
 * How much one turn of a wheel zooms. Browsers tell the pinch of a touchpad as a wheel with Ctrl and small
 * steps; lines and pages are told in other units.
 * @param {{deltaY: number, deltaMode: number, ctrlKey: boolean}} wheel
 */
export function wheelFactor(wheel) {
  const unit = wheel.deltaMode === 1 ? 16 : wheel.deltaMode === 2 ? 400 : 1;
  const most = wheel.ctrlKey ? 50 : 120;
  const delta = Math.max(-most, Math.min(most, wheel.deltaY * unit));
  return Math.exp(-delta * (wheel.ctrlKey ? 0.01 : 0.002));
}

/**
 * Where the middle of a loupe's picture stands, from the loupe's middle, for a point of the stage.
 * @param {Lie} lie
 * @param {number} scale of the picture in the loupe
 * @param {Point} at from the stage's middle
 * @returns {Point}
 */
export function loupeAt(lie, scale, at) {
  return { x: ((lie.x - at.x) * scale) / lie.scale, y: ((lie.y - at.y) * scale) / lie.scale };
}
