//! Somebody has a keyboard and nothing else.

use crate::key;
use crate::stage::Stage;
use crate::stage::browser::{Browser, Engine, System};

in_both_engines! { by_keys_alone }

fn by_keys_alone(engine: Engine) {
    let stage = Stage::set();
    let page = Browser::open(engine, &stage, System::default());
    page.until_wall();
    let press = |key: char| page.keys(&key.to_string());
    let focused =
        |image: u64| page.until(&format!("document.activeElement.dataset.image === '{image}'"));
    let hash = |told: &str| page.until(&format!("location.hash === '{told}'"));

    // Tab reaches all that can be done, each with a name, and the wall once.
    let mut reached = Vec::new();
    for _ in 0..16 {
        press(key::TAB);
        let told = page.script(
            "const at = document.activeElement; \
             return at === document.body ? '' : (at.dataset.image ? 'image' : at.id || at.className) + ': ' + \
               (at.getAttribute('aria-label') || at.innerText || at.title)",
        );
        let told = told.as_str().unwrap().to_owned();
        if !told.is_empty() && !reached.contains(&told) {
            assert!(!told.ends_with(": "), "{told} has no name");
            reached.push(told);
        }
    }
    let images = reached.iter().filter(|told| told.starts_with("image: ")).count();
    assert_eq!(images, 1, "{reached:?}");
    assert!(reached.iter().any(|told| told.starts_with("search-text: Search")), "{reached:?}");
    assert!(reached.iter().any(|told| told.starts_with("upload: ")), "{reached:?}");

    // Searched for, opened, and back.
    page.script("document.activeElement.blur()");
    press('/');
    page.until("document.activeElement.id === 'search-text'");
    page.keys("rock");
    press(key::ENTER);
    page.until("document.querySelectorAll('#grid [data-image]').length === 1");
    page.until_wall();
    press(key::ENTER);
    page.until_looking_at(2);
    press(key::ESCAPE);
    focused(2);
    press(key::ESCAPE);
    page.until("document.querySelectorAll('#grid [data-image]').length === 3");
    page.until_wall();

    // On the wall: ends, steps, selection.
    press(key::HOME);
    focused(3);
    press(key::END);
    focused(1);
    press(key::LEFT);
    focused(2);
    press('x');
    page.until("document.querySelector('[data-image=\"2\"]').ariaSelected === 'true' || document.querySelector('[data-image=\"2\"]').getAttribute('aria-selected') === 'true'");
    page.chord(key::SHIFT, key::RIGHT);
    page.until("document.getElementById('selected-count').textContent === '2 selected'");
    press(key::ESCAPE);
    page.until("document.getElementById('selected').hidden");
    focused(1);

    // One image: on, back, zoom, turn, panel.
    press(key::ENTER);
    page.until_looking_at(1);
    press('k');
    page.until_looking_at(2);
    page.keys("k");
    page.until_looking_at(3);
    page.keys("j ");
    page.until_looking_at(1);
    press(key::HOME);
    page.until_looking_at(3);
    press(key::END);
    page.until_looking_at(1);
    press('z');
    page.until("document.getElementById('single-zoom').textContent.endsWith('%')");
    press('z');
    page.until("document.getElementById('single-zoom').textContent === ''");
    press('+');
    page.until("document.getElementById('single-zoom').textContent.endsWith('%')");
    press('-');
    page.until("document.getElementById('single-zoom').textContent === ''");
    press('i');
    page.until("!document.getElementById('info').hidden");
    press('i');
    page.until("document.getElementById('info').hidden");
    page.chord(key::SHIFT, 'S');
    page.until("document.getElementById('single').hasAttribute('data-slideshow')");
    press(key::ESCAPE);
    page.until("!document.getElementById('single').hasAttribute('data-slideshow')");
    press('f');
    page.until("document.documentElement.hasAttribute('data-full')");
    press('f');
    page.until("!document.documentElement.hasAttribute('data-full')");

    // The sheet of keys takes the focus and gives it back.
    press('?');
    page.until("document.getElementById('help').open");
    page.until("document.getElementById('help').contains(document.activeElement)");
    page.screenshot(&format!("keys-{engine:?}"));
    press(key::ESCAPE);
    page.until("!document.getElementById('help').open");
    hash("#/1");

    // Another name; then away with it, and back.
    press(key::F2);
    page.until(
        "document.getElementById('rename').open && document.activeElement.id === 'rename-name'",
    );
    page.chord(key::CONTROL, 'a');
    page.keys("deep field.jpg");
    press(key::ENTER);
    page.until("!document.getElementById('rename').open");
    page.until("document.getElementById('single-name').textContent === 'deep field.jpg'");
    assert_eq!(stage.json(&["info", "1"]).1["image"]["name"], "deep field.jpg");
    press(key::DELETE);
    page.until_looking_at(2);
    press(key::ESCAPE);
    focused(2);
    page.chord(key::CONTROL, 'z');
    page.until("document.querySelector('[data-image=\"1\"]')?.title === 'deep field.jpg'");
    press(key::DOWN);
    page.until("document.activeElement.dataset.image");
}
