// Every request that the page makes, and the addresses of pictures.
//
// Called by whatever wants something of the repository. Addresses are relative: the page is the same in a
// browser and in the window. It keeps nothing and shows nothing; what was refused is thrown as a Refusal.

/** @import {Rec, Told, Query} from "./record.js" */
import { isWindow } from "./host.js";
import { span } from "./record.js";

/** What was refused, in the words of the repository. `code` is `unreachable` where nobody answered. */
export class Refusal extends Error {
  /** @param {number} status @param {string} code @param {string} message @param {string|null} hint */
  constructor(status, code, message, hint) {
    super(message);
    this.status = status;
    this.code = code;
    this.hint = hint;
  }

  /** Whether the same may go well a moment later. */
  get isPassing() {
    return this.code === "unreachable" || this.status === 429 || this.status >= 500;
  }
}

/**
 * @typedef {object} Me
 * @property {string} user
 * @property {string} role
 * @property {string[]} can
 * @property {number|null} [device] which of one's devices this is; null for a guest
 * @property {number} [seq]
 */

/** @typedef {{images: Told[], next: string|null, total: number|null}} Page */

/** @param {string} text @param {number} status */
export function refusal(text, status) {
  /** @type {any} */
  let told = null;
  try {
    told = JSON.parse(text).error;
  } catch {
    // What was refused before it was read is answered in plain text.
  }
  if (told && typeof told.message === "string") {
    return new Refusal(status, String(told.code), told.message, told.hint ?? null);
  }
  return new Refusal(status, status === 401 ? "unauthenticated" : "internal", text.trim().slice(0, 300), null);
}

/**
 * @param {string} path
 * @param {RequestInit} [init]
 * @returns {Promise<any>}
 */
async function ask(path, init) {
  let response;
  let text;
  try {
    response = await fetch(`api/${path}`, init);
    text = await response.text();
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError") throw error;
    throw new Refusal(0, "unreachable", "", null);
  }
  if (!response.ok) throw refusal(text, response.status);
  try {
    return JSON.parse(text);
  } catch {
    throw new Refusal(response.status, "internal", text.trim().slice(0, 300), null);
  }
}

/** @returns {Promise<Me>} */
export const me = () => ask("me");

/**
 * @param {Query} query
 * @param {number} limit
 * @param {string|null} cursor
 * @param {AbortSignal} [signal]
 * @returns {Promise<Page>}
 */
export function list(query, limit, cursor, signal) {
  const asked = new URLSearchParams({ limit: String(limit) });
  const { from, before } = span(query);
  const members = { text: query.text, uploader: query.uploader, from, before, cursor };
  for (const [key, value] of Object.entries(members)) if (value) asked.set(key, value);
  return ask(`images?${asked}`, { signal });
}

/** @param {number} id @returns {Promise<Told>} */
export const info = async (id) => (await ask(`images/${id}`)).image;

/** @param {number} id @param {AbortSignal} [signal] @returns {Promise<Record<string, any>|null>} */
export const exif = async (id, signal) => (await ask(`images/${id}/exif`, { signal })).exif;

/** @param {number} id @returns {Promise<Told>} */
export const remove = async (id) => (await ask(`images/${id}`, { method: "DELETE" })).image;

/** @param {number} id @returns {Promise<Told>} */
export const restore = async (id) => (await ask(`images/${id}/restore`, { method: "POST" })).image;

/** @param {number} id @param {string} name @returns {Promise<Told>} */
export async function rename(id, name) {
  const body = JSON.stringify({ name });
  const headers = { "Content-Type": "application/json" };
  return (await ask(`images/${id}`, { method: "PATCH", headers, body })).image;
}

/** This browser is one of nobody's devices any more. */
export async function logout() {
  await ask("logout", { method: "POST", headers: { "Content-Type": "application/json" }, body: "{}" });
}

/**
 * @param {number} since
 * @returns {Promise<{events: import("./events.js").Happened[], next: number|null}>}
 */
export const events = (since) => ask(`events?since=${since}&limit=500`);

/** @param {number|null} since */
export const liveAddress = (since) => (since === null ? "api/events" : `api/events?since=${since}`);

/** @typedef {"256"|"512"|"display"} Variant */

/**
 * The address of a picture. With a part of the content's hash in it, it never changes its meaning and is
 * kept by the browser for ever.
 * @param {Rec} rec
 * @param {Variant|"original"} variant
 */
export function picture(rec, variant) {
  return `api/images/${rec.id}/${variant}${rec.hash ? `?v=${rec.hash.slice(0, 16)}` : ""}`;
}

/** @param {Rec} rec */
export function download(rec) {
  return `api/images/${rec.id}/original?${rec.hash ? `v=${rec.hash.slice(0, 16)}&` : ""}download`;
}

/**
 * Why a picture did not come: an element is not told. Null where it does come now.
 * @param {Rec} rec
 * @param {Variant} variant
 * @returns {Promise<Refusal|null>}
 */
export async function why(rec, variant) {
  try {
    const response = await fetch(picture(rec, variant));
    if (!response.ok) return refusal(await response.text(), response.status);
    await response.arrayBuffer();
    return null;
  } catch {
    return new Refusal(0, "unreachable", "", null);
  }
}

/**
 * Uploads one file. XMLHttpRequest, as fetch tells nothing of what has been sent.
 * @param {File} file
 * @param {(done: number) => void} onSent
 * @param {AbortSignal} signal
 * @returns {Promise<{image: Told, duplicate: boolean}>}
 */
export async function upload(file, onSent, signal) {
  // A File as a body makes WebKitGTK's process fall over: there it is read first.
  const body = isWindow ? await file.arrayBuffer() : file;
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("POST", `api/images?name=${encodeURIComponent(file.name)}`);
    request.setRequestHeader("Content-Type", "application/octet-stream");
    request.upload.onprogress = (event) => onSent(event.loaded);
    request.onload = () => {
      if (request.status < 200 || request.status > 299) {
        return reject(refusal(request.responseText, request.status));
      }
      try {
        resolve(JSON.parse(request.responseText));
      } catch {
        reject(new Refusal(request.status, "internal", request.responseText.slice(0, 300), null));
      }
    };
    request.onerror = () => reject(new Refusal(0, "unreachable", "", null));
    request.onabort = () => reject(new DOMException("given up", "AbortError"));
    signal.addEventListener("abort", () => request.abort(), { once: true });
    if (signal.aborted) return reject(new DOMException("given up", "AbortError"));
    request.send(body);
  });
}
