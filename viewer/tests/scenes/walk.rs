//! Somebody looks: opens the page, scrolls, opens an image, zooms, goes on, comes back.

use serde_json::Value;

use crate::key;
use crate::stage::browser::{Browser, Engine, System};
use crate::stage::{Stage, pictures};

in_both_engines! { looking_around }

fn looking_around(engine: Engine) {
    let stage = Stage::set();
    let folder = pictures::many(stage.path("many"), 120);
    stage.ok(&["-q", "upload", folder.to_str().unwrap()]);
    let page = Browser::open(engine, &stage, System::default());
    page.until_wall();
    assert_eq!(page.text("#total"), "123 images");
    page.screenshot(&format!("wall-{engine:?}"));

    // To the end and back: what is far away is not in the page, and what comes has its picture.
    let tiles = "return document.querySelectorAll('[data-image]').length";
    assert!(page.script(tiles).as_u64().unwrap() < 123);
    page.script("document.getElementById('wall').scrollTop = 1e9");
    page.until("document.querySelector('[data-image=\"1\"][data-picture=shown]')");
    page.until("!document.querySelector('[data-image=\"123\"]')");
    page.script("document.getElementById('wall').scrollTop = 0");
    page.until("document.querySelector('[data-image=\"123\"][data-picture=shown]')");
    page.script("document.getElementById('wall').scrollTop = 1e9");
    page.until_wall();

    // Opened by a click; the title says what is looked at.
    page.click("[data-image=\"2\"]");
    page.until_looking_at(2);
    assert_eq!(page.script("return document.title"), "rocket.jpg · 122 of 123 — imgrepo");
    page.screenshot(&format!("single-{engine:?}"));

    // The wheel zooms at the pointer: what lies under it stays there.
    let under = "const frame = document.querySelector('.frame').getBoundingClientRect(); \
        return [(500 - frame.left) / frame.width, (400 - frame.top) / frame.height]";
    let wheel = |delta: i64| {
        page.script(&format!(
            "document.getElementById('stage').dispatchEvent(new WheelEvent('wheel', \
               {{deltaY: {delta}, clientX: 500, clientY: 400, bubbles: true, cancelable: true}}))"
        ));
        page.until("document.getElementById('single-zoom').textContent.endsWith('%')");
    };
    // Larger than its room first: what is smaller stands in the middle.
    for _ in 0..5 {
        wheel(-300);
    }
    let before = page.script(under);
    wheel(-200);
    let after = page.script(under);
    assert_ne!(before, Value::Null);
    for side in [0, 1] {
        let far = before[side].as_f64().unwrap() - after[side].as_f64().unwrap();
        assert!(far.abs() < 0.01, "{before} {after}");
    }
    page.keys("0");
    page.until("document.getElementById('single-zoom').textContent === ''");
    page.click_twice(590, 400);
    page.until("document.getElementById('single-zoom').textContent.endsWith('%')");
    // Esc goes one level back: from the zoom first.
    page.keys(&key::ESCAPE.to_string());
    page.until("document.getElementById('single-zoom').textContent === ''");

    page.click("#next");
    page.until_looking_at(1);
    page.keys(&format!("{}{}", key::LEFT, key::LEFT));
    page.until_looking_at(3);
    page.keys("r");
    page.until("document.querySelector('.frame').style.transform.includes('rotate(90deg)') || document.querySelector('.frame img').style.transform.includes('90deg')");
    page.keys("i");
    page.until("!document.getElementById('info').hidden");
    assert!(page.text("[data-row='info.pixels']").contains("150 × 100"));
    page.keys(&key::ESCAPE.to_string());
    page.until("document.getElementById('info').hidden");
    page.keys(&key::ESCAPE.to_string());
    page.until_wall();
    // One is where one was.
    page.until("document.activeElement.dataset.image === '3'");
    assert_eq!(page.script("return window.ran.length"), 0);
}
