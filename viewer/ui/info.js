// The panel that tells what is known of an image.
//
// Called by the single view. It asks for what the camera wrote when it is open and not before. Everything
// is text; a place on a map is shown as numbers, as nothing is asked of anybody else.

/** @import {Rec} from "./record.js" */
import * as api from "./api.js";
import { part } from "./part.js";
import { shown } from "./record.js";
import { moment, number, refused, say, size, taken } from "./texts.js";

/** @typedef {Record<string, string|number|boolean|null>} Exif */

export class Info {
  #panel = part("info");
  #list = part("info-list");
  /** @type {Rec|null} */
  #rec = null;
  #asked = new AbortController();

  /** @param {{person: (name: string) => void, rename: (rec: Rec) => void, canChange: (rec: Rec) => boolean}} hooks */
  constructor(hooks) {
    this.hooks = hooks;
    part("info-rename").addEventListener("click", () => {
      if (this.#rec) hooks.rename(this.#rec);
    });
    part("info-person-all").addEventListener("click", () => {
      if (this.#rec) hooks.person(this.#rec.uploader);
    });
  }

  get isOpen() {
    return !this.#panel.hidden;
  }

  /** @param {boolean} isOpen @param {Rec|null} rec */
  open(isOpen, rec) {
    this.#panel.hidden = !isOpen;
    this.#asked.abort();
    if (isOpen && rec) this.show(rec);
  }

  /** @param {Rec} rec */
  show(rec) {
    if (!this.isOpen) return;
    const isOther = this.#rec?.id !== rec.id;
    this.#rec = rec;
    part("info-name").textContent = shown(rec.name);
    part("info-person").textContent = shown(rec.uploader);
    part("info-rename").hidden = !this.hooks.canChange(rec);
    const sides = rec.width ? say("info.sides", { w: number(rec.width), h: number(rec.height) }) : "";
    const mega = rec.width ? (rec.width * rec.height) / 1e6 : 0;
    const pixels = mega >= 0.1 ? `${sides} · ${say("info.megapixels", { n: number(Math.round(mega * 10) / 10) })}` : sides;
    this.#rows("record", [
      ["info.uploaded", moment(rec.at)],
      ["info.taken", rec.taken ? taken(rec.taken) : ""],
      ["info.pixels", pixels],
      ["info.size", rec.size >= 0 ? size(rec.size) : ""],
      ["info.type", rec.type],
      ["info.number", String(rec.id)],
      ["info.hash", rec.hash],
    ]);
    if (!isOther && this.#list.querySelector("[data-group=exif]")) return;
    this.#rows("exif", []);
    this.#asked.abort();
    this.#asked = new AbortController();
    void this.#askExif(rec, this.#asked.signal);
  }

  /** @param {Rec} rec @param {AbortSignal} signal */
  async #askExif(rec, signal) {
    try {
      const exif = await api.exif(rec.id, signal);
      if (!signal.aborted && exif) this.#rows("exif", rowsOf(exif));
    } catch (error) {
      if (signal.aborted) return;
      // A repository of the old kind knows nothing of it.
      const isUnknown = error instanceof api.Refusal && (error.code === "unsupported" || error.status === 404);
      if (!isUnknown) this.#rows("exif", [["info.exif", refused(error)]]);
    }
  }

  /** @param {string} group @param {[string, string][]} rows */
  #rows(group, rows) {
    for (const old of this.#list.querySelectorAll(`[data-group=${group}]`)) old.remove();
    for (const [key, value] of rows) {
      if (!value) continue;
      const row = document.createElement("div");
      row.dataset.group = group;
      row.dataset.row = key;
      const term = document.createElement("dt");
      term.textContent = say(key);
      const words = document.createElement("dd");
      const text = document.createElement("bdi");
      text.textContent = value;
      words.append(text);
      row.append(term, words);
      this.#list.append(row);
    }
  }
}

/**
 * What the camera wrote, in the words of photographers.
 * @param {Exif} exif
 * @returns {[string, string][]}
 */
export function rowsOf(exif) {
  /** @param {string} key */
  const text = (key) => (typeof exif[key] === "string" ? shown(String(exif[key])) : "");
  /** @param {string} key */
  const num = (key) => (typeof exif[key] === "number" ? Number(exif[key]) : null);
  const make = text("make");
  const model = text("model");
  // Most makers begin the model with their name.
  const camera = model.toLowerCase().startsWith(make.toLowerCase()) ? model : `${make} ${model}`.trim();
  const seconds = num("exposure_seconds");
  const aperture = num("f_number");
  const iso = num("iso");
  const focal = num("focal_length_mm");
  const film = num("focal_length_35mm");
  const exposure = [
    seconds === null || seconds <= 0 ? "" : `${seconds < 0.4 ? `1/${Math.round(1 / seconds)}` : number(seconds)} s`,
    aperture === null ? "" : `f/${number(Math.round(aperture * 10) / 10)}`,
    iso === null ? "" : `ISO ${iso}`,
  ];
  const length = focal === null ? "" : `${number(Math.round(focal * 10) / 10)} mm`;
  const latitude = num("latitude");
  const longitude = num("longitude");
  const altitude = num("altitude_m");
  const place = latitude === null || longitude === null ? "" : `${latitude.toFixed(5)}, ${longitude.toFixed(5)}`;
  return [
    ["info.camera", camera],
    ["info.lens", text("lens")],
    ["info.exposure", exposure.filter(Boolean).join(" · ")],
    ["info.focal", length && film !== null ? `${length} (${say("info.film", { n: film })})` : length],
    ["info.flash", exif.flash === true ? say("yes") : exif.flash === false ? say("no") : ""],
    ["info.artist", text("artist")],
    ["info.copyright", text("copyright")],
    ["info.description", text("description")],
    ["info.software", text("software")],
    ["info.place", place && altitude !== null ? `${place} · ${Math.round(altitude)} m` : place],
  ];
}
