// Which images are selected.
//
// Changed by the grid, the single view and the keys; shown by the grid and the bar of selected ones. It
// knows numbers only, so an image that is gone leaves no trace (`forget`). Pure.

export class Selection {
  /** @type {Set<number>} */
  ids = new Set();
  /** Where a range begins. @type {number|null} */
  anchor = null;
  /** @type {(() => void)[]} */
  #listeners = [];

  /** @param {() => void} listener */
  listen(listener) {
    this.#listeners.push(listener);
  }

  #tell() {
    for (const listener of this.#listeners) listener();
  }

  get count() {
    return this.ids.size;
  }

  /** @param {number} id */
  has(id) {
    return this.ids.has(id);
  }

  /** @param {number} id */
  toggle(id) {
    if (!this.ids.delete(id)) this.ids.add(id);
    this.anchor = id;
    this.#tell();
  }

  /**
   * Selects from where the last one was selected to here.
   * @param {readonly {id: number}[]} records
   * @param {(id: number) => number} indexOf
   * @param {number} id
   */
  extendTo(records, indexOf, id) {
    const to = indexOf(id);
    const start = this.anchor === null ? -1 : indexOf(this.anchor);
    const from = start < 0 ? to : start;
    if (to < 0) return;
    for (let i = Math.min(from, to); i <= Math.max(from, to); i += 1) this.ids.add(records[i].id);
    if (start < 0) this.anchor = id;
    this.#tell();
  }

  /** @param {Iterable<{id: number}>} records */
  addAll(records) {
    for (const { id } of records) this.ids.add(id);
    this.#tell();
  }

  clear() {
    if (this.ids.size === 0) return;
    this.ids.clear();
    this.anchor = null;
    this.#tell();
  }

  /** @param {(id: number) => boolean} isThere */
  forget(isThere) {
    const before = this.ids.size;
    for (const id of this.ids) if (!isThere(id)) this.ids.delete(id);
    if (this.ids.size !== before) this.#tell();
  }
}
