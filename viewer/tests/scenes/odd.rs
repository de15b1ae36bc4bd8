//! Images as they come: of every kind, cut short, lying about themselves. Each has a picture or a tidy
//! place in its stead, and the repository goes on.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::key;
use crate::stage::Stage;
use crate::stage::browser::{Browser, Engine, System};

in_both_engines! { images_of_every_kind }

/// The samples that the daemon's own tests decode.
fn samples() -> Vec<PathBuf> {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../daemon/tests/data");
    let files = [data.clone(), data.join("pictures")];
    let files = files.iter().flat_map(|folder| std::fs::read_dir(folder).unwrap());
    let mut files: Vec<_> = files.map(|file| file.unwrap().path()).collect();
    let other = ["py", "md", "db"];
    files.retain(|file| {
        file.is_file() && !other.iter().any(|end| file.extension().is_some_and(|own| own == *end))
    });
    files.sort();
    files
}

fn images_of_every_kind(engine: Engine) {
    let stage = Stage::bare_with_daemon();
    let mut files = samples();
    // As large as it says, it would fill any memory.
    let huge = stage.path("huge.ppm");
    std::fs::write(&huge, b"P6\n60000 60000\n255\nabc").unwrap();
    files.push(huge);
    let mut upload = vec!["-q", "upload"];
    upload.extend(files.iter().map(|file| file.to_str().unwrap()));
    // What is no image for the repository either is refused, and that is all.
    let code = stage.imgctl(&upload).status.code().unwrap();
    assert!(code == 0 || code == 6, "{code}");

    let page = Browser::open(engine, &stage, System::default());
    page.until_wall();
    // All of the wall, screen by screen: each tile comes to rest.
    let mut told = BTreeMap::new();
    let total = page.wait_for("(await (await fetch('api/images?limit=1')).json()).total");
    let total = total.as_u64().unwrap() as usize;
    let mut is_end = false;
    while !is_end {
        page.until_wall();
        let seen = page.script(
            "return [...document.querySelectorAll('#grid [data-image]')].filter((tile) => \
               tile.dataset.picture === 'shown' || tile.querySelector('.instead')).map((tile) => \
               [tile.title, tile.querySelector('.instead') ? 0 : tile.querySelector('img').naturalWidth])",
        );
        for tile in seen.as_array().unwrap() {
            told.insert(tile[0].as_str().unwrap().to_owned(), tile[1].as_u64().unwrap());
        }
        is_end = page
            .script(
                "const wall = document.getElementById('wall'), before = wall.scrollTop; \
                 wall.scrollTop += wall.clientHeight * 0.6; return wall.scrollTop === before",
            )
            .as_bool()
            .unwrap();
        // The page hears of it with the next frame, and only then are other tiles there.
        page.wait_for(
            "(await new Promise((done) => requestAnimationFrame(() => \
               requestAnimationFrame(() => requestAnimationFrame(() => done(true))))))",
        );
    }
    page.script("document.getElementById('wall').scrollTop = 0");
    // Two of the samples have the name of another one.
    assert!(told.len() >= total - 2 && total > 60, "{total} {told:?}");
    let shown = told.values().filter(|width| **width > 0).count();
    assert!(shown > 45, "{told:?}");
    page.until_wall();
    page.screenshot(&format!("odd-{engine:?}"));

    // All eight ways to lie are one picture.
    let info = |name: &str| stage.json(&["info", name]).1["image"]["id"].as_u64().unwrap();
    let mut sides = Vec::new();
    for number in 1..=8 {
        let id = info(&format!("orientation-{number}.jpg"));
        page.script(&format!("location.hash = '#/{id}'"));
        page.until_looking_at(id);
        let side = "const picture = document.querySelector('.frame img'); \
            return [picture.naturalWidth, picture.naturalHeight, document.querySelector('.frame').offsetWidth]";
        sides.push(page.script(side));
    }
    assert!(sides.iter().all(|side| *side == sides[0]), "{sides:?}");

    // What cannot be shown can be had.
    let none = told.iter().find(|(_, width)| **width == 0).unwrap_or_else(|| panic!("{told:?}"));
    let id = info(none.0);
    page.script(&format!("location.hash = '#/{id}'"));
    page.until("!document.getElementById('instead').hidden");
    assert!(!page.text("#instead-type").is_empty());
    assert_eq!(
        page.script("return document.querySelector('#instead button').checkVisibility?.() ?? true"),
        true
    );
    page.screenshot(&format!("instead-{engine:?}"));
    page.keys(&key::ESCAPE.to_string());
    page.until_wall();
    assert_eq!(page.script("return document.documentElement.dataset.session"), "connected");
    assert_eq!(stage.json(&["status"]).0, 0);
}
