// Where each image stands in the grid: rows of one width under the headings of their days.
//
// Called by the grid. Pure arithmetic over the ratios of the images; it grows at its end in the time that
// the new images take, so that a hundred thousand are laid as their pages come. It touches no element.

/** @import {Rec} from "./record.js" */

/**
 * @typedef {object} Sizes
 * @property {number} width of a row, in CSS pixels
 * @property {number} target height of a row
 * @property {number} gap between images
 * @property {number} heading height of a day's heading
 * @property {number} below what stands free below a day
 * @property {number} apart what stands free between two days side by side
 * @property {number} least width of a day, for its heading
 */

/** @typedef {{top: number, height: number, first: number, count: number, day: number}} Row */
/**
 * A day. Short ones, which do not fill one row, stand side by side.
 * @typedef {{key: number, top: number, height: number, x: number, width: number, isShort: boolean,
 *   first: number, count: number, row: number}} Day
 */
/** @typedef {{x: number, y: number, width: number, height: number}} Box */

// A last row that is not full is never higher than the others, and a full one not by more than this:
// a lone portrait would fill the screen.
const HIGHEST = 1.4;

/**
 * Sizes that suit a width: three images side by side on a telephone, more and larger ones on a desk.
 * @param {number} width
 * @returns {Sizes}
 */
export function sizesFor(width) {
  const isNarrow = width < 600;
  const target = Math.round(Math.min(260, Math.max(104, 88 + width * 0.085)));
  const rest = { apart: 28, least: Math.min(width, 210) };
  return { width, target, gap: isNarrow ? 3 : 6, heading: isNarrow ? 40 : 44, below: isNarrow ? 8 : 14, ...rest };
}

export class Layout {
  /** @param {Sizes} sizes */
  constructor(sizes) {
    this.sizes = sizes;
    /** @type {Row[]} */
    this.rows = [];
    /** @type {Day[]} */
    this.days = [];
    this.count = 0;
  }

  /** The height of all days. */
  get height() {
    const last = this.days[this.days.length - 1];
    return last ? last.top + last.height : 0;
  }

  /**
   * Lays what `records` has more than was laid. The last row may have been waiting for more: it is laid
   * once more.
   * @param {readonly Rec[]} records
   */
  extend(records) {
    let next = this.count;
    const waiting = this.rows[this.rows.length - 1];
    if (waiting && next < records.length && records[next].day === this.days[waiting.day].key) {
      this.rows.pop();
      next = waiting.first;
      const day = this.days[waiting.day];
      day.count = next - day.first;
      day.height = waiting.top - day.top;
      // It may not fit beside another day any more.
      if (day.count === 0) this.days.pop();
    }
    while (next < records.length) {
      const key = records[next].day;
      let end = next + 1;
      while (end < records.length && records[end].day === key) end += 1;
      this.#layDay(records, next, end, key);
      next = end;
    }
    this.count = records.length;
  }

  /**
   * @param {readonly Rec[]} records
   * @param {number} first
   * @param {number} end
   * @param {number} key
   */
  #layDay(records, first, end, key) {
    const { width, target, gap, heading, below } = this.sizes;
    let day = this.days[this.days.length - 1];
    if (!day || day.key !== key) {
      day = { ...this.#placeFor(records, first, end), key, height: heading, first, count: 0, row: this.rows.length };
      this.days.push(day);
    }
    const index = this.days.length - 1;
    let top = day.top + day.height;
    let next = first;
    while (next < end) {
      let sum = 0;
      let count = 0;
      let height = target;
      while (next + count < end) {
        const wide = sum + records[next + count].ratio;
        const fitting = (width - count * gap) / wide;
        if (fitting <= target) {
          // One more makes the row lower than wished, without it it is higher: the nearer one.
          const without = count === 0 ? Infinity : (width - (count - 1) * gap) / sum;
          if (without - target < target - fitting && without <= target * HIGHEST) {
            height = without;
          } else {
            sum = wide;
            count += 1;
            height = fitting;
          }
          break;
        }
        sum = wide;
        count += 1;
        // The row is not full yet; if nothing follows it stays at the wished height.
        height = Math.min(fitting, target);
      }
      height = Math.round(height);
      this.rows.push({ top, height, first: next, count, day: index });
      top += height + gap;
      next += count;
    }
    day.count = end - day.first;
    day.height = top - gap + below - day.top;
  }

  /**
   * Where a day begins: beside the one before where both are short and it has room there, else below.
   * @param {readonly Rec[]} records
   * @param {number} first
   * @param {number} end
   */
  #placeFor(records, first, end) {
    const { width, target, gap, apart, least } = this.sizes;
    const below = { top: this.height, x: 0, width, isShort: false };
    let wide = (end - first - 1) * gap;
    for (let i = first; i < end && wide <= width; i += 1) wide += records[i].ratio * target;
    if (wide > width) return below;
    const short = { ...below, width: Math.max(least, Math.ceil(wide)), isShort: true };
    const before = this.days[this.days.length - 1];
    if (!before?.isShort) return short;
    const x = before.x + before.width + apart;
    return x + short.width <= width ? { ...short, top: before.top, x } : short;
  }

  /**
   * The first row that reaches below `y`.
   * @param {number} y
   */
  rowAt(y) {
    let low = 0;
    let high = this.rows.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.rows[middle].top + this.rows[middle].height <= y) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /**
   * The row that an image stands in.
   * @param {number} index
   */
  rowOf(index) {
    let low = 0;
    let high = this.rows.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (this.rows[middle].first <= index) low = middle;
      else high = middle - 1;
    }
    return low;
  }

  /**
   * Where the images of a row stand. A full row ends exactly at the width: what rounding takes from one
   * image it gives to the next.
   * @param {Row} row
   * @param {readonly Rec[]} records
   * @returns {Box[]}
   */
  boxes(row, records) {
    const { width, gap } = this.sizes;
    const { x } = this.days[row.day];
    let sum = 0;
    for (let i = 0; i < row.count; i += 1) sum += records[row.first + i].ratio;
    const free = width - (row.count - 1) * gap;
    // Full but for what rounding the height left.
    const isFull = Math.abs(sum * row.height - free) < sum + row.count;
    const scale = isFull ? free / sum : row.height;
    /** @type {Box[]} */
    const boxes = [];
    let reached = 0;
    for (let i = 0; i < row.count; i += 1) {
      const from = Math.round(reached);
      reached += records[row.first + i].ratio * scale;
      boxes.push({ x: x + from + i * gap, y: row.top, width: Math.round(reached) - from, height: row.height });
    }
    return boxes;
  }

  /**
   * The image above or below another: the one whose middle is nearest.
   * @param {number} index
   * @param {1|-1} step
   * @param {readonly Rec[]} records
   * @returns {number} the same index at the end
   */
  beside(index, step, records) {
    const own = this.rowOf(index);
    const row = this.rows[own];
    if (!row) return index;
    const box = this.boxes(row, records)[index - row.first];
    const middle = box.x + box.width / 2;
    let next = own;
    while (this.rows[next]?.top === row.top) next += step;
    const top = this.rows[next]?.top;
    let best = index;
    let least = Infinity;
    for (; top !== undefined && this.rows[next]?.top === top; next += step) {
      const other = this.rows[next];
      this.boxes(other, records).forEach((some, i) => {
        const off = Math.abs(some.x + some.width / 2 - middle);
        if (off < least) {
          least = off;
          best = other.first + i;
        }
      });
    }
    return best;
  }
}
