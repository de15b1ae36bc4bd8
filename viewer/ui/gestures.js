// What pointers and wheels do on the stage: zoom at the pointer, pan, pinch, swipe, hold for a loupe.
//
// Called once by the single view. It turns events into the stage's words and the two answers that are not
// its own: to step to a neighbour and to leave. It keeps what is down, nothing else.

/** @import {Stage} from "./stage.js" */
/** @import {Point} from "./zoom.js" */
import { wheelFactor } from "./zoom.js";

/**
 * @typedef {object} GestureHooks
 * @property {(way: 1|-1) => void} step
 * @property {() => void} leave
 */

// Held so long without moving, it is no click. Windows' and GNOME's long press are about as long.
const HOLD = 350;
// A hand at rest moves so far.
const STILL = 6;
// So far, or half as far in a fifth of a second, is a swipe.
const SWIPE = 80;
// Two taps so soon after each other are a double click.
const DOUBLE = 300;

/**
 * @param {Stage} stage
 * @param {GestureHooks} hooks
 */
export function attach(stage, hooks) {
  const { element } = stage;
  /** @type {Map<number, Point>} */
  const down = new Map();
  /** @type {"none"|"press"|"pan"|"swipe"|"pinch"|"loupe"} */
  let doing = "none";
  /** @type {Point} */
  let start = { x: 0, y: 0 };
  let since = 0;
  let timer = 0;
  let lastTap = { at: 0, x: 0, y: 0 };

  /** From the stage's middle. @param {{clientX: number, clientY: number}} event @returns {Point} */
  const place = (event) => {
    const box = element.getBoundingClientRect();
    return { x: event.clientX - box.left - box.width / 2, y: event.clientY - box.top - box.height / 2 };
  };

  const rest = () => {
    clearTimeout(timer);
    stage.loupe(null);
    stage.drag({ x: 0, y: 0 }, 1);
    doing = "none";
  };

  element.addEventListener(
    "wheel",
    (event) => {
      event.preventDefault();
      if (event.ctrlKey || Math.abs(event.deltaY) >= Math.abs(event.deltaX)) {
        stage.zoomBy(wheelFactor(event), place(event));
      } else {
        stage.panBy({ x: -event.deltaX, y: 0 });
      }
    },
    { passive: false },
  );

  element.addEventListener("pointerdown", (event) => {
    if (event.button !== 0 || (event.target instanceof Element && event.target.closest("button, a"))) return;
    element.setPointerCapture(event.pointerId);
    down.set(event.pointerId, place(event));
    if (down.size === 2) {
      clearTimeout(timer);
      stage.loupe(null);
      stage.drag({ x: 0, y: 0 }, 1);
      doing = "pinch";
      return;
    }
    if (down.size > 2) return;
    start = place(event);
    since = event.timeStamp;
    doing = "press";
    timer = window.setTimeout(() => {
      if (doing !== "press" || stage.isZoomed) return;
      doing = "loupe";
      stage.loupe(start);
    }, HOLD);
  });

  element.addEventListener("pointermove", (event) => {
    const before = down.get(event.pointerId);
    if (!before) return;
    const now = place(event);
    const others = [...down.entries()].filter(([id]) => id !== event.pointerId).map(([, at]) => at);
    down.set(event.pointerId, now);
    const by = { x: now.x - before.x, y: now.y - before.y };
    const far = { x: now.x - start.x, y: now.y - start.y };
    if (doing === "pinch" && others[0]) {
      const other = others[0];
      const wide = Math.hypot(before.x - other.x, before.y - other.y);
      const wider = Math.hypot(now.x - other.x, now.y - other.y);
      stage.panBy({ x: by.x / 2, y: by.y / 2 });
      if (wide > 0) stage.zoomBy(wider / wide, { x: (now.x + other.x) / 2, y: (now.y + other.y) / 2 });
    } else if (doing === "press" && Math.hypot(far.x, far.y) > STILL) {
      clearTimeout(timer);
      doing = stage.isZoomed ? "pan" : event.pointerType === "mouse" ? "none" : "swipe";
    }
    if (doing === "pan") stage.panBy(by);
    else if (doing === "loupe") stage.loupe(now);
    else if (doing === "swipe") {
      const isDown = Math.abs(far.y) > Math.abs(far.x);
      if (isDown) stage.drag({ x: 0, y: Math.max(0, far.y) }, 1 - Math.min(0.7, Math.max(0, far.y) / 600));
      else stage.drag({ x: far.x, y: 0 }, 1 - Math.min(0.5, Math.abs(far.x) / 900));
    }
  });

  /** @param {PointerEvent} event */
  const up = (event) => {
    const at = down.get(event.pointerId);
    if (!at) return;
    down.delete(event.pointerId);
    const was = doing;
    if (down.size > 0) {
      // One finger of a pinch is left: it pans.
      if (was === "pinch") doing = "pan";
      return;
    }
    rest();
    if (event.type === "pointercancel") return;
    const far = { x: at.x - start.x, y: at.y - start.y };
    const enough = event.timeStamp - since < 200 ? SWIPE / 2 : SWIPE;
    if (was === "swipe") {
      if (Math.abs(far.x) > Math.abs(far.y) && Math.abs(far.x) > enough) hooks.step(far.x < 0 ? 1 : -1);
      else if (far.y > Math.abs(far.x) && far.y > enough) hooks.leave();
    } else if (was === "press") {
      const isDouble =
        event.timeStamp - lastTap.at < DOUBLE && Math.hypot(at.x - lastTap.x, at.y - lastTap.y) < 30;
      lastTap = isDouble ? { at: 0, x: 0, y: 0 } : { at: event.timeStamp, x: at.x, y: at.y };
      if (isDouble) stage.toggle(at);
    }
  };
  element.addEventListener("pointerup", up);
  element.addEventListener("pointercancel", up);
  // A long press of a finger means the loupe.
  element.addEventListener("contextmenu", (event) => {
    if (doing === "loupe" || doing === "press") event.preventDefault();
  });
}
