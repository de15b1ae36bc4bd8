// Reads the pages of a list.
//
// Called by the catalog, which keeps what comes. It keeps nothing and is given up by its signal.

/** @import {Query, Told} from "./record.js" */
import * as api from "./api.js";

/** The first page is small, so that something is seen; the others are what the repository gives at most. */
export const FIRST_PAGE = 100;
const PAGE = 1000;

/** @typedef {{images: Told[], next: string|null, total: number|null}} Found */

/**
 * The page after a cursor.
 * @param {Query} query
 * @param {string} cursor
 * @param {AbortSignal} signal
 * @returns {Promise<Found>}
 */
export const after = (query, cursor, signal) => api.list(query, PAGE, cursor, signal);

/**
 * The beginning of a list: a first page, or as many as `count` records take.
 * @param {Query} query
 * @param {number} count
 * @param {AbortSignal} signal
 * @returns {Promise<Found>}
 */
export async function begin(query, count, signal) {
  const size = count <= FIRST_PAGE ? FIRST_PAGE : PAGE;
  const first = await api.list(query, size, null, signal);
  const images = first.images;
  let { next } = first;
  // A page may be short or even empty and yet have a next one.
  while (next !== null && images.length < (size === FIRST_PAGE ? 1 : count)) {
    const page = await api.list(query, size, next, signal);
    images.push(...page.images);
    next = page.next;
  }
  return { images, next, total: first.total };
}
