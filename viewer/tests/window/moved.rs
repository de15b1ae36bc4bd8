//! What goes over the window itself: files that are dropped, images that are saved, its title, its
//! size and place.

use serde_json::json;

use crate::stage::browser::Browser;
use crate::stage::{Stage, asset, until};

#[test]
fn files_that_are_dropped_are_uploaded_from_where_they_are() {
    let stage = Stage::set();
    let folder = stage.path("dropped");
    std::fs::create_dir_all(folder.join("below")).unwrap();
    std::fs::copy(asset("rocket.jpg"), folder.join("same.jpg")).unwrap();
    let name = "<img src=x onerror=alert(1)>.pnm";
    std::fs::write(folder.join("below").join(name), b"P6\n2 1\n255\nabcdef").unwrap();
    std::fs::write(folder.join("note.txt"), "no image").unwrap();
    let page = Browser::window(&stage, &[]);
    page.until("document.readyState === 'complete'");
    page.asks(&json!({"do": "drop", "paths": [folder, stage.path("nothing.jpg")]}));
    page.hears("told.kind === 'upload' && told.name === 'nothing.jpg' && told.state === 'failed'");
    page.hears("told.kind === 'upload' && told.name === 'note.txt' && told.state === 'failed'");
    page.hears("told.kind === 'upload' && told.name === 'same.jpg' && told.state === 'duplicate'");
    let stored = page.hears("told.kind === 'upload' && told.state === 'stored'");
    assert_eq!((stored["name"].as_str(), stored["total"].as_u64()), (Some(name), Some(17)));
    page.hears("told.kind === 'event' && told.event.event === 'NEW_UPLOAD'");
    assert_eq!(stage.json(&["info", &format!("name:{name}")]).0, 0);
}

#[test]
fn images_are_saved_each_under_a_name_of_its_own() {
    let stage = Stage::set();
    let config = stage.path("config");
    std::fs::create_dir_all(&config).unwrap();
    std::fs::write(config.join("user-dirs.dirs"), "XDG_DOWNLOAD_DIR=\"$HOME/Saved\"\n").unwrap();
    let page = Browser::window(&stage, &[]);
    page.until("document.readyState === 'complete'");
    page.asks(&json!({"do": "download", "images": [2, 99, 2]}));
    let second = stage.path("Saved/rocket (2).jpg");
    page.hears(&format!("told.kind === 'saved' && told.path === {}", json!(second)));
    page.hears("told.kind === 'failed' && told.message.includes('99')");
    for path in [stage.path("Saved/rocket.jpg"), second] {
        assert_eq!(std::fs::read(path).unwrap(), std::fs::read(asset("rocket.jpg")).unwrap());
    }
    assert_eq!(std::fs::read_dir(stage.path("Saved")).unwrap().count(), 2, "nothing is left over");
}

#[test]
fn the_page_gives_the_title() {
    let stage = Stage::set();
    let page = Browser::window(&stage, &[]);
    // The page has given its own by then.
    page.until_wall();
    let window = until("a window", || stage.window());
    page.asks(&json!({"do": "title", "text": "beach.jpg\n · 3/12"}));
    until("the title", || {
        (stage.xdotool(&["getwindowname", &window]) == "beach.jpg · 3/12").then_some(())
    });
}

#[test]
fn size_and_place_are_kept() {
    let stage = Stage::set();
    let geometry = |window: &str| stage.xdotool(&["getwindowgeometry", "--shell", window]);
    stage.ok(&["view"]);
    let window = until("a window", || stage.window());
    stage.xdotool(&["windowsize", "--sync", &window, "700", "500"]);
    stage.xdotool(&["windowmove", "--sync", &window, "120", "80"]);
    until("the size", || geometry(&window).contains("WIDTH=700\nHEIGHT=500").then_some(()));
    // The window hears of it from the screen, some time before it hears of the key.
    let kept = stage.path("state/window.json");
    stage.xdotool(&["windowfocus", "--sync", &window]);
    stage.xdotool(&["key", "ctrl+q"]);
    until("what is kept", || std::fs::read_to_string(&kept).ok());
    until("its close", || stage.window().is_none().then_some(()));
    stage.ok(&["view"]);
    let window = until("a window", || stage.window());
    until("the size", || geometry(&window).contains("WIDTH=700\nHEIGHT=500").then_some(()));
    let place = geometry(&window);
    assert!(place.contains("X=120") && place.contains("Y=80"), "{place}");
}
