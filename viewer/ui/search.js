// The search: by a part of the name, by person, by days.
//
// Called by main with what the address asks for; tells main what is asked for. Each thing that is searched
// for stands below as a chip that takes it away.

/** @import {Query} from "./record.js" */
import { icon, input, part } from "./part.js";
import { EVERYTHING, isEverything, shown } from "./record.js";
import { say, shortDay } from "./texts.js";

// Whoever types is not asked for at every letter.
const PAUSE = 180;

export class Search {
  #form = part("search");
  #text = input("search-text");
  #more = part("search-more");
  #panel = part("search-panel");
  #uploader = input("search-uploader");
  #from = input("search-from");
  #to = input("search-to");
  #chips = part("chips");
  #timer = 0;
  /** @type {Query} */
  query = EVERYTHING;

  /**
   * @param {(query: Query) => void} onQuery
   * @param {() => string[]} people who may be asked for
   */
  constructor(onQuery, people) {
    this.onQuery = onQuery;
    const soon = () => {
      clearTimeout(this.#timer);
      this.#timer = window.setTimeout(() => this.#read(), PAUSE);
    };
    this.#form.addEventListener("input", soon);
    this.#form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#read();
      this.#open(false);
      part("wall").focus();
    });
    this.#more.addEventListener("click", () => this.#open(this.#panel.hidden === true));
    this.#uploader.addEventListener("focus", () => {
      const names = people().map((name) => {
        const option = document.createElement("option");
        option.value = name;
        return option;
      });
      part("people").replaceChildren(...names);
    });
    part("search-clear").addEventListener("click", () => this.set(EVERYTHING));
    document.addEventListener("pointerdown", (event) => {
      if (event.target instanceof Node && !this.#form.contains(event.target)) this.#open(false);
    });
  }

  /** @param {boolean} isOpen */
  #open(isOpen) {
    this.#panel.hidden = !isOpen;
    this.#more.setAttribute("aria-expanded", String(isOpen));
    if (isOpen) this.#uploader.focus();
  }

  #read() {
    clearTimeout(this.#timer);
    this.#ask({
      text: this.#text.value.trim(),
      uploader: this.#uploader.value.trim(),
      from: this.#from.value,
      to: this.#to.value,
    });
  }

  /** @param {Query} query */
  #ask(query) {
    if (JSON.stringify(query) === JSON.stringify(this.query)) return;
    this.show(query);
    this.onQuery(query);
  }

  /** Asks for something, with the fields saying so. @param {Query} query */
  set(query) {
    this.#fill(query);
    this.#ask(query);
  }

  /** Says what is asked for already. @param {Query} query */
  show(query) {
    this.query = query;
    if (document.activeElement === document.body || !this.#form.contains(document.activeElement)) this.#fill(query);
    this.#showChips();
  }

  /** @param {Query} query */
  #fill(query) {
    this.#text.value = query.text;
    this.#uploader.value = query.uploader;
    this.#from.value = query.from;
    this.#to.value = query.to;
  }

  #showChips() {
    const { query } = this;
    /** @type {[keyof Query, string, string][]} */
    const chips = [];
    if (query.uploader) chips.push(["uploader", say("chip.uploader"), shown(query.uploader)]);
    if (query.from) chips.push(["from", say("chip.from"), shortDay(query.from)]);
    if (query.to) chips.push(["to", say("chip.to"), shortDay(query.to)]);
    this.#chips.replaceChildren(
      ...chips.map(([member, label, value]) => {
        const chip = document.createElement("button");
        chip.type = "button";
        chip.className = "chip";
        chip.dataset.chip = member;
        const words = document.createElement("span");
        words.append(`${label} `);
        const name = document.createElement("bdi");
        name.textContent = value;
        words.append(name);
        chip.append(words, icon("close"));
        chip.setAttribute("aria-label", say("chip.remove", { what: `${label} ${value}` }));
        chip.addEventListener("click", () => this.set({ ...this.query, [member]: "" }));
        return chip;
      }),
    );
    this.#chips.hidden = chips.length === 0;
    this.#more.toggleAttribute("data-active", chips.length > 0);
    this.#form.toggleAttribute("data-active", !isEverything(query));
  }

  focus() {
    this.#text.focus();
    this.#text.select();
  }

  /** One level back: closes the panel, or gives the search up. @returns {boolean} whether there was one */
  escape() {
    if (!this.#panel.hidden) {
      this.#open(false);
      this.#text.focus();
      return true;
    }
    if (this.#form.contains(document.activeElement)) {
      this.#read();
      part("wall").focus();
      return true;
    }
    if (isEverything(this.query)) return false;
    this.set(EVERYTHING);
    return true;
  }
}
