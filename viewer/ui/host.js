// The window that this page may be in: what it tells, and what it is told. In a browser there is none.
//
// Called by main, events, uploads and actions. It knows the shapes of the messages and decides nothing.

/**
 * What the window tells.
 * @typedef {{kind: "event", event: import("./events.js").Happened}
 *   | {kind: "session", state: string, message?: string|null}
 *   | {kind: "open", image: number|null}
 *   | {kind: "upload", name: string, done: number, total: number, state: string, code?: string|null, message?: string|null}
 *   | {kind: "drag", over: boolean}
 *   | {kind: "saved", name: string, path: string}
 *   | {kind: "failed", message: string}} Told
 */

/**
 * What the window puts there before the page is read.
 * @type {{imgrepoWindow?: {version: number, drops?: string, language?: string|null}, ipc?: {postMessage(text: string): void}}}
 */
const given = /** @type {any} */ (window);

/** Whether this page is in the program's own window. */
export const isWindow = given.imgrepoWindow !== undefined && given.ipc !== undefined;

/**
 * Tells the window something; in a browser nobody hears it.
 * @param {{do: string, text?: string, on?: boolean, image?: number|null, images?: number[]}} message
 */
export function post(message) {
  if (isWindow) given.ipc?.postMessage(JSON.stringify(message));
}

/**
 * Hears what the window tells.
 * @param {(told: Told) => void} hear
 */
export function listen(hear) {
  window.addEventListener("imgrepo", (event) => {
    const { detail } = /** @type {CustomEvent<Told>} */ (event);
    if (detail && typeof detail.kind === "string") hear(detail);
  });
}
