// What is said in passing: short notices at the foot, one with something to press perhaps, and words for
// screen readers alone.
//
// Called by actions, uploads and main. A notice goes by itself, but not while it is pointed at or focused.

import { part } from "./part.js";
import { say } from "./texts.js";

// Long enough to read two lines; longer where there is something to press.
const SHORT = 4000;
const LONG = 9000;
const MOST = 3;

const place = part("toasts");

/**
 * @param {string} text
 * @param {{label?: string, run?: () => void, isBad?: boolean}} [more]
 * @returns {() => void} takes it away
 */
export function notice(text, { label, run, isBad = false } = {}) {
  const element = document.createElement("div");
  element.className = isBad ? "toast bad" : "toast";
  const words = document.createElement("span");
  words.textContent = text;
  element.append(words);
  let timer = 0;
  const close = () => {
    clearTimeout(timer);
    element.remove();
  };
  if (label && run) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = label;
    button.addEventListener("click", () => {
      close();
      run();
    });
    element.append(button);
  } else if (isBad) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = say("close");
    button.addEventListener("click", close);
    element.append(button);
  }
  const start = () => {
    clearTimeout(timer);
    timer = window.setTimeout(close, run || isBad ? LONG : SHORT);
  };
  const stop = () => clearTimeout(timer);
  element.addEventListener("pointerenter", stop);
  element.addEventListener("pointerleave", start);
  element.addEventListener("focusin", stop);
  element.addEventListener("focusout", start);
  place.append(element);
  while (place.children.length > MOST) place.firstElementChild?.remove();
  start();
  return close;
}

const voice = part("said");

/** Tells a screen reader. @param {string} text */
export function tell(text) {
  // The same words twice are said twice only if the text has changed between.
  voice.textContent = voice.textContent === text ? `${text}\u00a0` : text;
}
