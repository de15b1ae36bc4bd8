// Which key does what, and the sheet that tells it.
//
// Called by main with what was pressed; it answers with a command's name, and main carries it out. The
// table is the one place where keys stand: the sheet is made of it. Pure but for making the sheet.

import { say } from "./texts.js";

/** @typedef {"grid"|"single"} Level */

/**
 * @typedef {object} Binding
 * @property {string} command
 * @property {string[]} keys as `chord` tells them
 * @property {Level[]} at
 * @property {string} [shows] how it stands on the sheet; without it, it does not
 */

/** @type {Level[]} */
const BOTH = ["grid", "single"];

/** @type {Binding[]} */
export const BINDINGS = [
  { command: "left", keys: ["ArrowLeft"], at: ["grid"], shows: "← → ↑ ↓" },
  { command: "right", keys: ["ArrowRight"], at: ["grid"] },
  { command: "up", keys: ["ArrowUp"], at: ["grid"] },
  { command: "down", keys: ["ArrowDown"], at: ["grid"] },
  { command: "open", keys: ["Enter", " "], at: ["grid"], shows: "Enter" },
  { command: "next", keys: ["j"], at: ["grid"] },
  { command: "previous", keys: ["k"], at: ["grid"] },
  { command: "select-left", keys: ["Shift+ArrowLeft"], at: ["grid"], shows: "Shift ← →" },
  { command: "select-right", keys: ["Shift+ArrowRight"], at: ["grid"] },
  { command: "select-up", keys: ["Shift+ArrowUp"], at: ["grid"] },
  { command: "select-down", keys: ["Shift+ArrowDown"], at: ["grid"] },
  { command: "page-down", keys: ["PageDown"], at: ["grid"] },
  { command: "page-up", keys: ["PageUp"], at: ["grid"] },
  { command: "select-all", keys: ["Ctrl+a"], at: ["grid"], shows: "Ctrl A" },
  { command: "next", keys: ["j", " ", "PageDown"], at: ["single"], shows: "→ J ␣" },
  { command: "previous", keys: ["k", "Shift+ ", "PageUp"], at: ["single"], shows: "← K" },
  { command: "pan-left", keys: ["ArrowLeft"], at: ["single"] },
  { command: "pan-right", keys: ["ArrowRight"], at: ["single"] },
  { command: "pan-up", keys: ["ArrowUp"], at: ["single"] },
  { command: "pan-down", keys: ["ArrowDown"], at: ["single"] },
  { command: "first", keys: ["Home"], at: BOTH, shows: "Home" },
  { command: "last", keys: ["End"], at: BOTH, shows: "End" },
  { command: "zoom-in", keys: ["+", "=", "Shift++"], at: ["single"], shows: "+ −" },
  { command: "zoom-out", keys: ["-"], at: ["single"] },
  { command: "zoom", keys: ["z"], at: ["single"], shows: "Z" },
  { command: "fit", keys: ["0"], at: ["single"], shows: "0" },
  { command: "rotate", keys: ["r"], at: ["single"], shows: "R" },
  { command: "rotate-back", keys: ["Shift+r"], at: ["single"], shows: "Shift R" },
  { command: "info", keys: ["i"], at: BOTH, shows: "I" },
  { command: "slideshow", keys: ["s", "Shift+s"], at: BOTH, shows: "S" },
  { command: "fullscreen", keys: ["f"], at: BOTH, shows: "F" },
  { command: "select", keys: ["x"], at: BOTH, shows: "X" },
  { command: "download", keys: ["d"], at: BOTH, shows: "D" },
  { command: "rename", keys: ["F2"], at: BOTH, shows: "F2" },
  { command: "delete", keys: ["Delete"], at: BOTH, shows: "Del" },
  { command: "undo", keys: ["Ctrl+z"], at: BOTH, shows: "Ctrl Z" },
  { command: "upload", keys: ["u"], at: BOTH, shows: "U" },
  { command: "search", keys: ["/"], at: BOTH, shows: "/" },
  { command: "help", keys: ["?", "F1"], at: BOTH, shows: "?" },
  { command: "close", keys: ["Ctrl+w"], at: BOTH },
  { command: "escape", keys: ["Escape"], at: BOTH, shows: "Esc" },
];

/**
 * A pressed key as the table writes it. What a layout needs Shift for (`?`, `+`) is the sign itself.
 * @param {{key: string, ctrlKey: boolean, metaKey: boolean, altKey: boolean, shiftKey: boolean}} event
 * @returns {string} empty for what is never ours
 */
export function chord(event) {
  if (event.altKey) return "";
  const isLetter = /^\p{L}$/u.test(event.key);
  const key = isLetter ? event.key.toLowerCase() : event.key;
  const isNamed = isLetter || event.key.length > 1 || event.key === " ";
  const shift = event.shiftKey && isNamed ? "Shift+" : "";
  return `${event.ctrlKey || event.metaKey ? "Ctrl+" : ""}${shift}${key}`;
}

/**
 * @param {string} pressed a chord
 * @param {Level} level
 * @returns {string|null}
 */
export function commandOf(pressed, level) {
  const binding = BINDINGS.find((some) => some.at.includes(level) && some.keys.includes(pressed));
  return binding?.command ?? null;
}

/**
 * The sheet's lists: what works on the wall, on one image, on both.
 * @param {(level: Level|"both") => HTMLElement} listOf
 */
export function fillSheet(listOf) {
  for (const { command, at, shows } of BINDINGS) {
    if (!shows) continue;
    const level = at.length > 1 ? "both" : at[0];
    const term = document.createElement("dt");
    for (const key of shows.split(" ")) {
      const cap = document.createElement("kbd");
      cap.textContent = key;
      term.append(cap);
    }
    const words = document.createElement("dd");
    words.textContent = say(`key.${level}.${command}`);
    const row = document.createElement("div");
    row.append(term, words);
    listOf(level).append(row);
  }
}
