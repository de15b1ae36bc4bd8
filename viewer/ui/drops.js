// Files that are dropped on the page, pasted into it or chosen: which they are, folders walked through.
//
// Called by main, which hands them to the uploads. In the window the window itself takes what is dropped
// and tells of it; there this only shows where to drop. It reads no content.

import { isWindow, listen } from "./host.js";
import { part } from "./part.js";

// What is in a folder and surely no image is not sent at all.
const ENDINGS =
  /\.(jpe?g|jfif|png|gif|webp|avif|bmp|tiff?|qoi|ico|svg|jxl|jp2|p[bgnp]m|hei[cf]|dng|cr[23w]|nef|arw|orf|rw2|raf|pef|srw)$/i;

// A folder with more than this was hardly meant.
const MOST = 20_000;

/**
 * @param {(files: File[]) => void} onFiles
 * @param {() => boolean} isAllowed
 */
export function attach(onFiles, isAllowed) {
  const cover = part("drop");
  /** @param {boolean} isOver */
  const show = (isOver) => {
    cover.hidden = !isOver;
  };
  listen((told) => {
    if (told.kind === "drag") show(told.over && isAllowed());
  });
  document.addEventListener("paste", (event) => {
    const files = [...(event.clipboardData?.files ?? [])];
    if (files.length > 0 && isAllowed()) onFiles(files);
  });
  const chosen = /** @type {HTMLInputElement} */ (part("files"));
  chosen.addEventListener("change", () => {
    const files = [...(chosen.files ?? [])];
    chosen.value = "";
    if (files.length > 0) onFiles(files);
  });
  if (isWindow) return;

  let deep = 0;
  /** @param {DragEvent} event */
  const hasFiles = (event) => event.dataTransfer?.types.includes("Files") ?? false;
  window.addEventListener("dragenter", (event) => {
    if (!hasFiles(event)) return;
    deep += 1;
    show(isAllowed());
  });
  window.addEventListener("dragleave", (event) => {
    if (!hasFiles(event)) return;
    deep = Math.max(0, deep - 1);
    if (deep === 0) show(false);
  });
  window.addEventListener("dragover", (event) => {
    if (!hasFiles(event)) return;
    event.preventDefault();
    if (event.dataTransfer) event.dataTransfer.dropEffect = isAllowed() ? "copy" : "none";
  });
  window.addEventListener("drop", (event) => {
    if (!hasFiles(event)) return;
    // Else the browser would open the file in our place.
    event.preventDefault();
    deep = 0;
    show(false);
    if (!isAllowed() || !event.dataTransfer) return;
    // Entries can be asked for only now, in the event.
    const entries = [...event.dataTransfer.items].map((item) => item.webkitGetAsEntry?.() ?? null);
    const plain = [...event.dataTransfer.files];
    if (entries.every((entry) => entry === null)) return onFiles(plain);
    void walk(entries).then((files) => {
      if (files.length > 0) onFiles(files);
    });
  });
}

/**
 * The files of what was dropped, folders by their contents.
 * @param {(FileSystemEntry|null)[]} entries
 * @returns {Promise<File[]>}
 */
async function walk(entries) {
  /** @type {File[]} */
  const files = [];
  const left = entries.map((entry) => ({ entry, isInside: false }));
  for (let next = left.shift(); next && files.length < MOST; next = left.shift()) {
    const { entry, isInside } = next;
    if (entry instanceof Object && entry.isDirectory) {
      const reader = /** @type {FileSystemDirectoryEntry} */ (entry).createReader();
      // It gives a hundred at a time.
      for (;;) {
        /** @type {FileSystemEntry[]} */
        const some = await new Promise((resolve) => reader.readEntries(resolve, () => resolve([])));
        if (some.length === 0) break;
        left.push(...some.map((inner) => ({ entry: inner, isInside: true })));
      }
    } else if (entry instanceof Object && entry.isFile) {
      /** @type {File|null} */
      const file = await new Promise((resolve) =>
        /** @type {FileSystemFileEntry} */ (entry).file(resolve, () => resolve(null)),
      );
      if (file && (!isInside || ENDINGS.test(file.name))) files.push(file);
    }
  }
  return files;
}
