// A record as the page keeps it: what the API tells of an image, made small, and what follows from it.
//
// Called by the catalog, which keeps 100,000 of them, and by everything that shows one. Pure: it asks
// nobody and touches no element.

/**
 * An image as the API tells of it.
 * @typedef {object} Told
 * @property {number} id
 * @property {string} name
 * @property {string} uploader
 * @property {number|null} size
 * @property {string|null} hash
 * @property {string|null} media_type
 * @property {number|null} width
 * @property {number|null} height
 * @property {number|null} [orientation]
 * @property {string|null} uploaded_at
 * @property {string|null} taken_at
 * @property {string|null} placeholder
 */

/**
 * An image as the page keeps it. Sides are as it is looked at: 0 where they are not known.
 * @typedef {object} Rec
 * @property {number} id
 * @property {string} name
 * @property {string} uploader
 * @property {number} size bytes; -1 where it is not known
 * @property {string} hash empty where it is not known
 * @property {string} type media type; empty where it is not known
 * @property {number} width
 * @property {number} height
 * @property {number} ratio width by height for the layout
 * @property {number} at milliseconds; NaN where it is not known
 * @property {number} day the local day as 20260331; 0 where it is not known
 * @property {string|null} taken
 * @property {string|null} placeholder
 * @property {boolean} fault whether the repository said that it cannot be shown
 */

/**
 * What is searched for; empty members ask for nothing.
 * @typedef {object} Query
 * @property {string} text
 * @property {string} uploader
 * @property {string} from a local day, `2026-03-31`
 * @property {string} to the last local day, itself included
 */

/** @type {Query} */
export const EVERYTHING = Object.freeze({ text: "", uploader: "", from: "", to: "" });

// Few people upload many images: each name and media type is kept once.
/** @type {Map<string, string>} */
const words = new Map();

/** @param {string} word */
function once(word) {
  const known = words.get(word);
  if (known !== undefined) return known;
  words.set(word, word);
  return word;
}

/**
 * @param {Told} told
 * @returns {Rec}
 */
export function record(told) {
  // EXIF's orientations from 5 on lie on their side.
  const lies = (told.orientation ?? 1) >= 5;
  const width = told.width ?? 0;
  const height = told.height ?? 0;
  const at = told.uploaded_at === null ? NaN : Date.parse(told.uploaded_at);
  return {
    id: told.id,
    name: told.name,
    uploader: once(told.uploader),
    size: told.size ?? -1,
    hash: told.hash ?? "",
    type: once(told.media_type ?? ""),
    width: lies ? height : width,
    height: lies ? width : height,
    ratio: lies ? ratio(height, width) : ratio(width, height),
    at,
    day: dayOf(at),
    taken: told.taken_at,
    placeholder: told.placeholder,
    fault: false,
  };
}

/**
 * The local day of a time as 20260331.
 * @param {number} at
 */
export function dayOf(at) {
  if (Number.isNaN(at)) return 0;
  const date = new Date(at);
  return date.getFullYear() * 10000 + (date.getMonth() + 1) * 100 + date.getDate();
}

/**
 * Width by height for the layout: what is not known is a square, and what is very long is cut.
 * @param {number} width
 * @param {number} height
 */
export function ratio(width, height) {
  if (width === 0 || height === 0) return 1;
  return Math.min(3, Math.max(0.45, width / height));
}

/**
 * The times between which a search looks, as the API takes them: from the first day's midnight here to
 * the one after the last day.
 * @param {Query} query
 * @returns {{from: string, before: string}}
 */
export function span(query) {
  /** @param {string} day @param {number} later */
  const midnight = (day, later) => {
    const parts = /^(\d{4})-(\d\d)-(\d\d)$/.exec(day);
    if (!parts) return "";
    const date = new Date(Number(parts[1]), Number(parts[2]) - 1, Number(parts[3]) + later);
    return Number.isNaN(date.getTime()) ? "" : date.toISOString();
  };
  return { from: midnight(query.from, 0), before: midnight(query.to, 1) };
}

/**
 * Whether a search finds an image: what the repository decides for a page of the list is decided here
 * for what arrives while one looks.
 * @param {Query} query
 * @param {Rec} rec
 */
export function fits(query, rec) {
  if (query.text && !fold(rec.name).includes(fold(query.text))) return false;
  if (query.uploader && rec.uploader !== query.uploader) return false;
  const { from, before } = span(query);
  if (from && !(rec.at >= Date.parse(from))) return false;
  return !before || rec.at < Date.parse(before);
}

/** @param {string} text */
const fold = (text) => text.normalize("NFC").toLowerCase();

/** @param {Query} query */
export function isEverything(query) {
  return !query.text && !query.uploader && !query.from && !query.to;
}

/**
 * A name to be shown: what would be invisible, or would turn the order of the letters around, stands as
 * its number. Elements isolate it besides (`<bdi>`).
 * @param {string} name
 */
export function shown(name) {
  return name.replace(/[\p{Cc}\p{Zl}\p{Zp}\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff]/gu, (c) => {
    // The joiners of scripts and of emoji are letters among letters.
    if (c === "\u200c" || c === "\u200d") return c;
    return `\\u{${(c.codePointAt(0) ?? 0).toString(16)}}`;
  });
}

/** What a file of this type is called in the middle of a tile: `HEIC` for `image/heic`. @param {Rec} rec */
export function typeName(rec) {
  const type = rec.type.replace(/^image\/(x-|vnd\.)?/, "").replace(/\+.*$/, "");
  if (type) return type.toUpperCase().slice(0, 12);
  const dot = rec.name.lastIndexOf(".");
  return dot > 0 ? shown(rec.name.slice(dot + 1)).toUpperCase().slice(0, 12) : "?";
}

/**
 * Where an image of this number stands, or would stand, among records whose newest is first.
 * @param {readonly Rec[]} records
 * @param {number} id
 */
export function placeOf(records, id) {
  let low = 0;
  let high = records.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (records[middle].id > id) low = middle + 1;
    else high = middle;
  }
  return low;
}
