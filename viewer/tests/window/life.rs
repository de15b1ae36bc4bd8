//! A window's life: opened, steered, without its daemon, closed.

use serde_json::json;

use crate::stage::browser::Browser;
use crate::stage::{Stage, asset, until};

/// An image is on the screen, whatever the page looks like.
const PAINTED: &str =
    "[...document.images].some((image) => image.complete && image.naturalWidth > 8)";

#[test]
fn it_opens_on_the_image_that_was_asked_for() {
    let stage = Stage::set();
    let page = Browser::window(&stage, &["2"]);
    page.until("location.hash === '#/2'");
    page.until(PAINTED);
    page.screenshot("opened");
    stage.screenshot("opened-screen");
    drop(page);
    let page = Browser::window(&stage, &["coffee.png"]);
    page.until("location.hash === '#/3'");
}

#[test]
fn a_second_view_steers_it_and_its_close_frees_the_place() {
    let stage = Stage::set();
    let mut page = Browser::window(&stage, &[]);
    page.until("document.readyState === 'complete'");
    let (code, steered) = stage.json(&["view", "rocket.jpg"]);
    assert_eq!((code, steered["window"].as_str()), (0, Some("steered")));
    assert_eq!(steered["image"]["id"], 2);
    page.until("location.hash === '#/2'");
    // The program itself, as a desktop's menu starts it.
    assert!(stage.command("imgview").arg("1").status().unwrap().success());
    page.until("location.hash === '#/1'");
    // A name that is none leaves it as it is, and so does none.
    let (code, refused) = stage.json(&["view", "nothing.jpg"]);
    assert_eq!((code, refused["error"]["code"].as_str()), (5, Some("not_found")));
    assert_eq!(stage.json(&["view"]).1["window"], "steered");
    assert_eq!(page.script("return location.hash"), "#/1");
    page.close_window();
    until("the close", || (!page.is_open()).then_some(()));
    drop(page);
    let (code, opened) = stage.json(&["view", "3"]);
    assert_eq!((code, opened["window"].as_str()), (0, Some("opened")));
    assert_eq!(stage.json(&["view", "2"]).1["window"], "steered");
    let window = until("a window", || stage.window());
    stage.xdotool(&["windowfocus", "--sync", &window]);
    stage.xdotool(&["key", "ctrl+w"]);
    until("its close", || stage.window().is_none().then_some(()));
}

#[test]
fn it_lives_through_its_daemons_end_and_tells_the_page() {
    let mut stage = Stage::set();
    let page = Browser::window(&stage, &[]);
    page.until("document.readyState === 'complete'");
    stage.kill_daemon();
    page.hears("told.kind === 'session' && told.state === 'gone'");
    let refused = page.wait_for("(await fetch('api/images')).status");
    assert_eq!(refused, 503);
    page.screenshot("gone");
    page.script("window.heardByTest = []");
    stage.start_daemon();
    page.hears("told.kind === 'session' && told.state === 'connected'");
    // What happens afterwards is heard, once.
    std::fs::copy(asset("rocket.jpg"), stage.path("again.jpg")).unwrap();
    stage.ok(&["rename", "1", "deep field.jpg"]);
    let event = page.hears("told.kind === 'event' && told.event.event === 'RENAMED'");
    assert_eq!(event["event"]["image"]["name"], "deep field.jpg");
    assert_eq!(
        page.script("return window.heardByTest.filter((told) => told.kind === 'event').length"),
        1
    );
    assert_eq!(stage.json(&["view", "2"]).1["window"], "steered");
    page.until("location.hash === '#/2'");
}

#[test]
fn it_opens_without_a_daemon_and_is_its_window_once_there_is_one() {
    let mut stage = Stage::bare();
    let page = Browser::window(&stage, &[]);
    page.until("document.readyState === 'complete'");
    assert_eq!(page.wait_for("(await fetch('api/me')).status"), 503);
    stage.start_daemon();
    page.hears("told.kind === 'session' && told.state === 'connected'");
    assert_eq!(stage.json(&["view"]).1["window"], "steered");
    let me = page.wait_for("(await fetch('api/me')).json()");
    assert_eq!(me["role"], "owner");
    assert!(me["can"].as_array().unwrap().contains(&json!("upload")), "{me}");
}
