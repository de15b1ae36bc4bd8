// What the page says, in the language of the system: Portuguese, or else English.
//
// Called wherever something is said. Words stand in texts/, one file a language; dates and numbers are
// written as the language has them. Nothing here is ever markup.

import en from "./texts/en.js";
import pt from "./texts/pt.js";

// The window knows the system's language better than its engine does; node, in which the tests run, may
// have no navigator.
/** @type {string|null|undefined} */
const given = /** @type {any} */ (globalThis).imgrepoWindow?.language;
const told = given || globalThis.navigator?.language || "en";
const isPortuguese = told.toLowerCase().startsWith("pt");

/** @type {Record<string, string>} */
const words = isPortuguese ? pt : en;

/** What dates and numbers are written in: the system's own kind of the language that is spoken. */
export const locale = isPortuguese || told.toLowerCase().startsWith("en") ? told : "en";

const plural = new Intl.PluralRules(isPortuguese ? "pt-BR" : "en");
const numbers = new Intl.NumberFormat(locale);

/**
 * The words of a key, with values in their places.
 * @param {string} key
 * @param {Record<string, string|number>} [values]
 */
export function say(key, values = {}) {
  const text = words[key] ?? key;
  return text.replace(/\{(\w+)\}/g, (_, name) => {
    const value = values[name] ?? "";
    return typeof value === "number" ? numbers.format(value) : value;
  });
}

/**
 * The words for a number of things: `key.one` or `key.other`.
 * @param {string} key
 * @param {number} n
 * @param {Record<string, string|number>} [values]
 */
export function count(key, n, values = {}) {
  const form = plural.select(n) === "one" ? "one" : "other";
  return say(`${key}.${form}`, { ...values, n });
}

/** @param {number} n */
export const number = (n) => numbers.format(n);

/** @param {number} bytes */
export function size(bytes) {
  const units = ["byte", "kilobyte", "megabyte", "gigabyte"];
  let value = bytes;
  let unit = 0;
  while (value >= 1000 && unit < units.length - 1) {
    value /= 1000;
    unit += 1;
  }
  const digits = unit === 0 || value >= 100 ? 0 : 1;
  return new Intl.NumberFormat(locale, {
    style: "unit",
    unit: units[unit],
    unitDisplay: unit === 0 ? "long" : "short",
    maximumFractionDigits: digits,
  }).format(value);
}

/**
 * A refusal in one sentence, and what to do about it.
 * @param {unknown} error
 */
export function refused(error) {
  if (!(error instanceof Error)) return String(error);
  const { code, hint } = /** @type {{code?: string, hint?: string|null}} */ (error);
  if (code === "unreachable") return say("unreachable");
  // The server refuses in English, and knows more than our words for its code.
  const own = words[`refused.${code}`];
  if (own) return own;
  const message = error.message || say("failed");
  // An option of the command line is of no use here.
  return hint && !hint.startsWith("--") ? `${message}. ${hint}` : message;
}

const dayFormats = {
  near: new Intl.DateTimeFormat(locale, { weekday: "long", day: "numeric", month: "long" }),
  far: new Intl.DateTimeFormat(locale, { weekday: "short", day: "numeric", month: "long", year: "numeric" }),
  short: new Intl.DateTimeFormat(locale, { dateStyle: "medium" }),
  moment: new Intl.DateTimeFormat(locale, { dateStyle: "long", timeStyle: "short" }),
};

/**
 * The heading of a day.
 * @param {number} key the local day as 20260331; 0 for none
 * @param {number} now milliseconds
 */
export function day(key, now) {
  if (key === 0) return say("day.unknown");
  const date = new Date(Math.floor(key / 10000), (Math.floor(key / 100) % 100) - 1, key % 100);
  const today = new Date(now);
  const midnight = new Date(today.getFullYear(), today.getMonth(), today.getDate());
  const ago = Math.round((midnight.getTime() - date.getTime()) / 86_400_000);
  if (ago === 0) return say("day.today");
  if (ago === 1) return say("day.yesterday");
  const text = (date.getFullYear() === today.getFullYear() ? dayFormats.near : dayFormats.far).format(date);
  return text.charAt(0).toLocaleUpperCase(locale) + text.slice(1);
}

/** @param {number} at milliseconds */
export const moment = (at) => (Number.isNaN(at) ? say("unknown") : dayFormats.moment.format(at));

/** @param {string} text a local day, `2026-03-31` */
export function shortDay(text) {
  const [year, month, date] = text.split("-").map(Number);
  return dayFormats.short.format(new Date(year, month - 1, date));
}

/**
 * When a picture was taken: by the camera's own clock, without turning it to ours.
 * @param {string} taken `2021-07-04T18:30:00`, with or without an offset
 */
export function taken(taken) {
  const parts = /^(\d+)-(\d+)-(\d+)T(\d+):(\d+)/.exec(taken);
  if (!parts) return taken;
  const [year, month, date, hour, minute] = parts.slice(1).map(Number);
  return dayFormats.moment.format(new Date(year, month - 1, date, hour, minute));
}

/**
 * Puts the words into the elements that name theirs: `data-say` as text, `data-label` as what a pointer
 * and a screen reader tell, `data-hint` as what stands in an empty field.
 * @param {ParentNode} root
 */
export function speak(root) {
  document.documentElement.lang = isPortuguese ? "pt-BR" : "en";
  for (const element of root.querySelectorAll("[data-say], [data-label], [data-hint]")) {
    if (!(element instanceof HTMLElement)) continue;
    const { say: text, label, hint, key } = element.dataset;
    if (text) element.textContent = say(text);
    if (label) {
      element.setAttribute("aria-label", say(label));
      element.title = key ? `${say(label)} (${key})` : say(label);
    }
    if (hint) element.setAttribute("placeholder", say(hint));
  }
}
