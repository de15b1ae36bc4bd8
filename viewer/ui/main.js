// Starts the page and joins its rooms: the address, the keys, the buttons, what happens in the repository.
//
// What tests may hold on to, stable: `data-state` of the root (loading, ready, empty, none-found, failed,
// closed), `data-session` of the root, `data-level` of the root (grid, single); tiles `[data-image]` with
// `data-picture` (shown, failed) and `aria-selected`; `#single[data-image][data-picture]`; `[data-upload]`;
// the ids of index.html. Marks of performance: `imgrepo:first-picture`, and `imgrepo:shown` for the
// last picture of the single view (`detail`: its image, and the milliseconds since it was asked for).

/** @import {Query} from "./record.js" */
import * as api from "./api.js";
import { Actions } from "./actions.js";
import { Catalog } from "./catalog.js";
import * as drops from "./drops.js";
import { follow } from "./events.js";
import { Grid } from "./grid.js";
import { isWindow, listen, post } from "./host.js";
import { dialog, part } from "./part.js";
import * as route from "./route.js";
import { Search } from "./search.js";
import { Selection } from "./selection.js";
import { Single } from "./single.js";
import { Steering } from "./steering.js";
import { speak } from "./texts.js";
import { Uploads } from "./uploads.js";
import { Wall } from "./wall.js";

speak(document);

const catalog = new Catalog();
const selection = new Selection();
const actions = new Actions(catalog);
const wall = new Wall(catalog, selection, actions);

let isPainted = false;
/** The first picture is to be seen: what the window measures. @param {number|null} image */
function painted(image) {
  if (isPainted) return;
  isPainted = true;
  performance.mark("imgrepo:first-picture");
  // Two frames later it is on the screen.
  requestAnimationFrame(() => requestAnimationFrame(() => post({ do: "painted", image })));
}

let isTitled = false;
/** @param {string} text */
function title(text) {
  if (document.title === text && isTitled) return;
  isTitled = true;
  document.title = text;
  post({ do: "title", text });
}

const grid = new Grid(catalog, selection, {
  first: () => painted(null),
  scrolled: (isScrolled) => {
    part("bar").toggleAttribute("data-scrolled", isScrolled);
    catalog.isHolding = isScrolled;
    if (!isScrolled) catalog.release();
  },
});

const single = new Single(catalog, {
  moved: (id) => {
    grid.active = id;
    route.replace({ image: id });
  },
  leave: () => route.leave(),
  title,
  shown: (rec) => painted(rec.id),
  rename: (rec) => actions.rename(rec),
  person: (name) => search.set({ text: "", uploader: name, from: "", to: "" }),
  canChange: (rec) => actions.canChange(rec),
});

const search = new Search(
  (query) => {
    // What is searched for is looked at on the wall.
    if (single.isOpen) route.go({ image: null, query });
    else route.replace({ query });
    void show();
  },
  () => catalog.people(),
);

const uploads = new Uploads({
  stored: () => {
    if (single.isOpen) return;
    catalog.isHolding = false;
    catalog.release();
    grid.toTop(!matchMedia("(prefers-reduced-motion: reduce)").matches);
  },
});
drops.attach(
  (files) => uploads.add(files),
  () => actions.can("upload"),
);

const steering = new Steering({ catalog, selection, actions, grid, single, search, wall });

/** Shows what the address asks for. */
async function show() {
  const { image, query } = route.read();
  if (!same(query, catalog.query)) {
    search.show(query);
    grid.active = null;
    selection.clear();
    void catalog.open(query).then(() => wall.told());
  }
  document.documentElement.dataset.level = image === null ? "grid" : "single";
  part("app").inert = image !== null;
  if (image === null) {
    if (single.isOpen) {
      const last = single.rec?.id ?? null;
      single.close();
      const index = last === null ? -1 : catalog.indexOf(last);
      if (index >= 0) grid.goTo(index, { middle: true });
    }
    title(wall.title());
    return;
  }
  try {
    await single.open(image);
  } catch (error) {
    wall.complain(error);
    route.replace({ image: null });
    await show();
  }
}

/** @param {Query} a @param {Query} b */
const same = (a, b) => JSON.stringify(a) === JSON.stringify(b);

/**
 * Asks who this is here, and what may be done.
 * @returns {Promise<number|null>} the place in the history that is known with it
 */
async function introduce() {
  try {
    actions.me = await api.me();
  } catch (error) {
    if (error instanceof api.Refusal && error.status === 401) wall.close();
  }
  wall.allowed();
  return actions.me?.seq ?? null;
}

async function start() {
  const asked = route.read();
  search.show(asked.query);
  const list = catalog.open(asked.query);
  const about = introduce();
  const opened = asked.image === null ? null : show();
  const seq = await about;
  await Promise.all([list, opened]);
  void show();
  const feed = follow(
    {
      event: (happened) => {
        catalog.apply(happened);
        wall.happened(happened);
      },
      state: (state, message) => {
        wall.session(state, message);
        if (state !== "connected") return;
        // What broke off is read on; and somebody may be somebody else by now.
        grid.refresh();
        single.again();
        void introduce();
      },
      lost: () => void catalog.reload(),
    },
    seq,
  );
  // What happened between the list and the first event, where nobody told a place in the history.
  if (seq === null && catalog.state === "ready") void catalog.newest();
  window.addEventListener("online", () => feed.wake());
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) return;
    feed.wake();
    grid.refresh();
  });
}

window.addEventListener("hashchange", () => void show());
part("fresh").addEventListener("click", () => {
  catalog.isHolding = false;
  catalog.release();
  grid.toTop(false);
  part("wall").focus({ preventScroll: true });
});
part("again").addEventListener("click", () => void catalog.open(catalog.query).then(() => wall.told()));
listen((told) => {
  if (told.kind !== "open") return;
  for (const id of ["help", "rename"]) dialog(id).close();
  route.go({ image: told.image });
});
steering.attach();
void start().then(() => {
  if (isWindow) post({ do: "ready" });
});
