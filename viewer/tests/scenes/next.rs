//! How long the next image takes whose picture is there already, from the key to the picture painted:
//! a figure, printed by `make bench`, that fails nobody.

use crate::key;
use crate::stage::browser::{Browser, Engine, System};
use crate::stage::{Stage, pictures};

/// Images that are gone through, each larger than its picture for the screen.
const IMAGES: u64 = 9;

/// Notes how long it was from each key until the picture was there and its frame was painted: what a
/// frame's callback posts has its turn behind the painting.
const WATCH: &str = "window.took = []; addEventListener('keydown', () => { \
    const began = performance.now(); \
    const look = () => { \
      const shown = performance.getEntriesByName('imgrepo:shown').at(-1); \
      if (!shown || shown.startTime < began) return requestAnimationFrame(look); \
      requestAnimationFrame(() => { \
        const { port1, port2 } = new MessageChannel(); \
        port1.onmessage = () => { \
          window.over = performance.now(); window.took.push(window.over - began); }; \
        port2.postMessage(null); }); \
    }; \
    look(); }, true); window.over = performance.now()";

#[test]
#[ignore = "a figure: make bench"]
fn in_chromium() {
    measure(Engine::Chromium);
}

#[test]
#[ignore = "a figure: make bench"]
fn in_the_window() {
    measure(Engine::Window);
}

#[allow(clippy::print_stdout, reason = "it is run for what it prints")]
fn measure(engine: Engine) {
    let stage = Stage::set();
    for number in 0..IMAGES as usize {
        let path = stage.path(&format!("{number}.ppm"));
        pictures::sized(&path, number, 3000, 2000);
        stage.ok(&["-q", "upload", path.to_str().unwrap()]);
    }
    let page = Browser::open(engine, &stage, System::default());
    page.until_wall();
    let newest = page.script("return Number(document.querySelector('[data-image]').dataset.image)");
    let newest = newest.as_u64().unwrap();
    page.click(&format!("[data-image=\"{newest}\"]"));
    page.until_looking_at(newest);
    page.script(WATCH);
    for past in 1..IMAGES {
        // Time enough for the neighbours, which the page fetches by itself.
        page.until("performance.now() - window.over > 2000");
        page.keys(&key::RIGHT.to_string());
        page.until_looking_at(newest - past);
        page.until(&format!("window.took.length === {past}"));
    }
    let took = page.script("return window.took.map(Math.round).sort((a, b) => a - b)");
    let took: Vec<u64> = took.as_array().unwrap().iter().filter_map(|ms| ms.as_u64()).collect();
    let median = took[took.len() / 2];
    println!("the next image, {engine:?}: {median} ms (all: {took:?}; at most 50, aim 16)");
}
