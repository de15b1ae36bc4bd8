//! Others are here too: what they do is seen at once, and a repository that was away comes back.

use crate::key;
use crate::stage::browser::{Browser, Engine, System};
use crate::stage::{Stage, pictures};

in_both_engines! { others_at_work the_repository_goes_and_comes }

/// Where a tile stands on the screen.
const TOP_OF_40: &str =
    "return Math.round(document.querySelector('[data-image=\"40\"]').getBoundingClientRect().top)";

fn others_at_work(engine: Engine) {
    let stage = Stage::set();
    let folder = pictures::many(stage.path("many"), 90);
    stage.ok(&["-q", "upload", folder.to_str().unwrap()]);
    let bruno = stage.member("bruno");
    let page = Browser::open(engine, &stage, System::default());
    page.until_wall();
    // At the top, what is new is there by itself.
    let first = stage.path("first.ppm");
    pictures::small(&first, 1000);
    stage.upload_by(&bruno, &[first]);
    page.until("document.querySelector('[data-image=\"94\"][data-picture=shown]')");
    assert!(page.script("return document.getElementById('fresh').hidden").as_bool().unwrap());
    let said = page.script("return document.getElementById('said').textContent");
    assert!(said.as_str().unwrap().starts_with("New: first.ppm, by bruno"), "{said}");

    // Elsewhere nothing moves, and a pill says how many there are.
    page.script("document.getElementById('wall').scrollTop = 1e9");
    page.until("document.querySelector('[data-image=\"3\"]')");
    page.script("document.getElementById('wall').scrollTop /= 2");
    page.until("document.querySelector('[data-image=\"40\"]')");
    page.until_wall();
    let top = page.script(TOP_OF_40);
    for (number, count) in [(1001, 1), (1002, 2)] {
        let path = stage.path(&format!("{number}.ppm"));
        pictures::small(&path, number);
        stage.upload_by(&bruno, &[path]);
        page.until(&format!(
            "document.getElementById('fresh-count').textContent === '{count} new'"
        ));
    }
    assert_eq!(page.script(TOP_OF_40), top);
    // A name that changes, changes here; what goes away closes its gap.
    stage.ok(&["rename", "40", "forty.ppm"]);
    page.until("document.querySelector('[data-image=\"40\"]').title === 'forty.ppm'");
    stage.ok(&["-q", "rm", "40"]);
    page.until("!document.querySelector('[data-image=\"40\"]')");
    page.click("#fresh");
    page.until("document.getElementById('wall').scrollTop === 0");
    page.until("document.querySelector('#grid [data-image]').dataset.image === '96'");
    page.until_wall();
    assert_eq!(page.text("#total"), "95 images");

    // What is looked at and goes away makes room for its neighbour.
    page.click("[data-image=\"95\"]");
    page.until_looking_at(95);
    stage.ok(&["-q", "rm", "95"]);
    page.until_looking_at(94);
    page.keys(&key::ESCAPE.to_string());
    page.until_wall();
}

fn the_repository_goes_and_comes(engine: Engine) {
    let mut stage = Stage::set();
    let page = Browser::open(engine, &stage, System::default());
    page.until_wall();
    page.script("window.stays = true");
    stage.kill_daemon();
    page.until("['waiting', 'gone'].includes(document.documentElement.dataset.session)");
    page.until("!document.getElementById('badge').hidden");
    assert!(!page.text("#badge").is_empty());
    page.screenshot(&format!("away-{engine:?}"));
    // What is there can be looked at still, and what cannot be done is said.
    page.click("[data-image=\"2\"]");
    page.until("document.documentElement.dataset.level === 'single'");
    page.keys(&key::DELETE.to_string());
    page.until("document.querySelector('.toast.bad')");
    page.keys(&key::ESCAPE.to_string());
    page.until("document.documentElement.dataset.level === 'grid'");
    page.until("document.querySelectorAll('#grid [data-image]').length === 3");

    stage.start_daemon();
    page.until("document.documentElement.dataset.session === 'connected'");
    page.until("document.getElementById('badge').hidden");
    let path = stage.path("back.ppm");
    pictures::small(&path, 7);
    let bruno = stage.member("bruno");
    stage.upload_by(&bruno, &[path]);
    page.screenshot(&format!("back-{engine:?}"));
    page.until("document.querySelector('[data-image=\"4\"][data-picture=shown]')");
    page.until_wall();
    assert_eq!(page.script("return window.stays"), true);
}
