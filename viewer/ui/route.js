// The address: which image is looked at and what is searched for, behind the `#` (`#/`, `#/7`,
// `#/7?uploader=ana`).
//
// Called by main. Going somewhere makes an entry in the history, so that Back leads to the wall; stepping
// from image to image makes none.

/** @import {Query} from "./record.js" */
import { EVERYTHING } from "./record.js";

/** @typedef {{image: number|null, query: Query}} Route */

/** @param {string} [hash] @returns {Route} */
export function read(hash = location.hash) {
  const [path, asked] = hash.replace(/^#\/?/, "").split("?");
  const values = new URLSearchParams(asked ?? "");
  const image = /^[1-9]\d{0,15}$/.test(path) ? Number(path) : null;
  const query = { ...EVERYTHING };
  for (const key of /** @type {(keyof Query)[]} */ (Object.keys(query))) query[key] = values.get(key) ?? "";
  return { image, query };
}

/** @param {Route} route */
export function write({ image, query }) {
  const values = new URLSearchParams();
  for (const [key, value] of Object.entries(query)) if (value) values.set(key, value);
  const asked = values.toString();
  return `#/${image ?? ""}${asked ? `?${asked}` : ""}`;
}

/** Whether the entry before ours in the history is our wall. */
let isOverWall = false;

/** @param {Partial<Route>} change */
export function go(change) {
  const before = read();
  const hash = write({ ...before, ...change });
  if (hash === location.hash) return;
  // From image to image there is one entry.
  if (before.image !== null && change.image !== null) return replaceAndTell(hash);
  isOverWall = before.image === null && change.image !== undefined && change.image !== null;
  location.hash = hash;
}

/** @param {string} hash */
function replaceAndTell(hash) {
  history.replaceState(null, "", hash);
  window.dispatchEvent(new HashChangeEvent("hashchange"));
}

/** Says what is shown already. @param {Partial<Route>} change */
export function replace(change) {
  const hash = write({ ...read(), ...change });
  if (hash !== location.hash) history.replaceState(null, "", hash);
}

/** Back to the wall, by the way that one came. */
export function leave() {
  if (isOverWall) {
    isOverWall = false;
    history.back();
  } else {
    replaceAndTell(write({ ...read(), image: null }));
  }
}
