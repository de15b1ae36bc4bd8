// Pictures drawn in the size in which they will lie, before they are shown: without a GPU decoding and
// scaling are most of what showing one takes, three times what is left.
//
// Called by the stage. A drawing covers its picture as long as that lies in just this size, and is gone
// with its element.

/** @import {Rec} from "./record.js" */
/** @import {Size} from "./zoom.js" */

// Of these some are animated, and the small ones must go on moving.
const MAY_MOVE = ["image/gif", "image/webp", "image/png"];
const MOVES_BYTES = 4 * 1024 * 1024;

export class Fitted {
  /** @type {WeakMap<HTMLImageElement, HTMLCanvasElement>} */
  #drawings = new WeakMap();

  /**
   * @param {Rec} rec
   * @param {HTMLImageElement} picture decoded
   * @param {Size} size pixels of the screen
   */
  draw(rec, picture, { width, height }) {
    const mayMove = MAY_MOVE.includes(rec.type) && rec.size <= MOVES_BYTES;
    if (mayMove || picture.naturalWidth <= width) return;
    const drawing = document.createElement("canvas");
    drawing.width = width;
    drawing.height = height;
    const context = drawing.getContext("2d");
    if (!context) return;
    context.imageSmoothingQuality = "high";
    context.drawImage(picture, 0, 0, width, height);
    this.#drawings.set(picture, drawing);
  }

  /**
   * Shows the drawing instead, where there is one of this size.
   * @param {HTMLElement} frame with the picture in it
   * @param {HTMLImageElement} picture
   * @param {Size} size
   */
  cover(frame, picture, size) {
    const drawing = this.#drawings.get(picture);
    if (!drawing || !isOf(drawing, size)) return;
    frame.append(drawing);
    frame.dataset.fitted = "";
  }

  /**
   * Shows the picture again, unless it lies in the drawing's size.
   * @param {HTMLElement} frame
   * @param {Size} [size]
   */
  uncover(frame, size) {
    if (!("fitted" in frame.dataset)) return;
    const drawing = frame.querySelector("canvas");
    if (drawing && size && isOf(drawing, size)) return;
    drawing?.remove();
    delete frame.dataset.fitted;
  }
}

/** @param {HTMLCanvasElement} drawing @param {Size} size */
function isOf(drawing, { width, height }) {
  return drawing.width === width && drawing.height === height;
}
