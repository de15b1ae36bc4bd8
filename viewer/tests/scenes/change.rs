//! Somebody changes something: drops files, deletes, takes it back, gives a name.

use crate::key;
use crate::stage::browser::{Browser, Engine, System};
use crate::stage::{Stage, pictures};

in_both_engines! { files_are_dropped what_is_deleted_comes_back }

fn files_are_dropped(engine: Engine) {
    let stage = Stage::set();
    let page = Browser::open(engine, &stage, System::default());
    page.until_wall();
    let files = [stage.path("sea.ppm"), stage.path("hills.ppm"), stage.path("note.txt")];
    for (number, file) in files[..2].iter().enumerate() {
        pictures::small(file, number);
    }
    std::fs::write(&files[2], "no image").unwrap();
    page.drop_files(&files);
    page.until("document.querySelectorAll('[data-upload=stored]').length === 2");
    page.until("document.querySelectorAll('[data-upload=failed]').length === 1");
    assert!(page.text("[data-upload=failed]").contains("note.txt"));
    page.until("document.querySelectorAll('#grid [data-image]').length === 5");
    page.until_wall();
    page.screenshot(&format!("uploads-{engine:?}"));
    for name in ["sea.ppm", "hills.ppm"] {
        assert_eq!(stage.json(&["info", name]).0, 0);
    }
    page.click("#uploads-close");
    page.until("document.getElementById('uploads').hidden");
    // Once more is no more.
    page.drop_files(&files[..1]);
    page.until("document.querySelectorAll('[data-upload=duplicate]').length === 1");
    assert_eq!(page.script("return document.querySelectorAll('#grid [data-image]').length"), 5);
}

fn what_is_deleted_comes_back(engine: Engine) {
    let stage = Stage::set();
    let is_in_trash = |image: &str| {
        let (_, told) = stage.json(&["info", image]);
        told["image"]["trashed_at"].is_string()
    };
    let page = Browser::open(engine, &stage, System::default());
    page.until_wall();
    // The one that is looked at, by its button; its neighbour takes its place.
    page.click("[data-image=\"2\"]");
    page.until_looking_at(2);
    page.click("#single-delete");
    page.until_looking_at(1);
    assert!(page.text(".toast").starts_with("rocket.jpg is in the trash"));
    page.until("document.querySelector('.toast button')");
    crate::stage::until("the trash", || is_in_trash("2").then_some(()));
    page.click(".toast button");
    page.until("document.querySelector('.toast')?.textContent === '1 image is back'");
    assert!(!is_in_trash("2"));
    page.keys(&key::ESCAPE.to_string());
    page.until_wall();
    page.until("document.querySelectorAll('#grid [data-image]').length === 3");

    // Two that are selected, and back by the key.
    page.script(
        "for (const id of [1, 3]) document.querySelector(`[data-image=\"${id}\"] [data-mark]`)\
         .dispatchEvent(new MouseEvent('click', {bubbles: true}))",
    );
    page.until("document.querySelectorAll('#grid [aria-selected=true]').length === 2");
    assert_eq!(page.text("#selected-count"), "2 selected");
    page.screenshot(&format!("selected-{engine:?}"));
    page.click("#selected-delete");
    page.until("document.querySelectorAll('#grid [data-image]').length === 1");
    crate::stage::until("the trash", || (is_in_trash("1") && is_in_trash("3")).then_some(()));
    page.chord(key::CONTROL, 'z');
    page.until("document.querySelectorAll('#grid [data-image]').length === 3");
    page.until("[...document.querySelectorAll('.toast')].some((toast) => toast.textContent === '2 images are back')");
    assert!(!is_in_trash("1") && !is_in_trash("3"));
}
