// The fixed elements of the page, found once by their ids.
//
// Called by every file that shows something. A missing one is a fault of index.html and is said by name.

/** @param {string} id */
export function part(id) {
  const element = document.getElementById(id);
  if (!element) throw new Error(`index.html has no #${id}`);
  return element;
}

/** @param {string} id */
export function input(id) {
  const element = part(id);
  if (!(element instanceof HTMLInputElement)) throw new Error(`#${id} is no input`);
  return element;
}

/** @param {string} id */
export function dialog(id) {
  const element = part(id);
  if (!(element instanceof HTMLDialogElement)) throw new Error(`#${id} is no dialog`);
  return element;
}

/**
 * An icon of the sprite in index.html.
 * @param {string} name
 */
export function icon(name) {
  const space = "http://www.w3.org/2000/svg";
  const svg = document.createElementNS(space, "svg");
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  const use = document.createElementNS(space, "use");
  use.setAttribute("href", `#i-${name}`);
  svg.append(use);
  return svg;
}
