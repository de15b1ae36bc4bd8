//! The way of the page to the repository, and what the page cannot do.

use serde_json::json;

use crate::stage::browser::Browser;
use crate::stage::{Stage, asset};

#[test]
fn the_api_is_the_repositorys() {
    let stage = Stage::set();
    let page = Browser::window(&stage, &[]);
    page.until("document.readyState === 'complete'");
    let list = page.wait_for("(await fetch('api/images?limit=2')).json()");
    assert_eq!(list["total"], 3);
    assert_eq!(list["images"].as_array().unwrap().len(), 2);
    let next = format!(
        "(await fetch('api/images?limit=2&cursor=' + encodeURIComponent({}))).json()",
        list["next"]
    );
    assert_eq!(page.wait_for(&next)["images"][0]["name"], "hubble.jpg");
    let status =
        |path: &str, init: &str| page.wait_for(&format!("(await fetch('{path}', {init})).status"));
    assert_eq!(status("api/images/99", "{}"), 404);
    assert_eq!(status("api/images?colour=red", "{}"), 400);
    assert_eq!(status("api/nothing", "{}"), 404);
    assert_eq!(status("ui/nothing.js", "{}"), 404);
    let renamed = page.wait_for(
        "(await fetch('api/images/1', {method: 'PATCH', headers: {'content-type': 'application/json'}, \
         body: JSON.stringify({name: 'field.jpg'})})).json()",
    );
    assert_eq!(renamed["image"]["name"], "field.jpg");
    assert!(page.wait_for("(await fetch('api/images/1', {method: 'DELETE'})).json()")["image"]["trashed_at"].is_string());
    assert!(page.wait_for("(await fetch('api/images/1/restore', {method: 'POST'})).json()")["image"]["trashed_at"].is_null());
    let events = page.wait_for("(await fetch('api/events?since=3&limit=2')).json()");
    assert_eq!(events["events"].as_array().unwrap().len(), 2);
    assert_eq!(events["next"], events["events"][1]["seq"]);
    let events = page.wait_for("(await fetch('api/events?since=3')).json()");
    assert_eq!((events["events"].as_array().unwrap().len(), events["next"].is_null()), (3, true));
    let uploaded = page.wait_for(
        "(await fetch('api/images?name=n%20%2B.pnm', {method: 'POST', \
         body: new TextEncoder().encode('P6\\n2 1\\n255\\nabcdef').buffer})).json()",
    );
    assert_eq!(
        (uploaded["image"]["name"].as_str(), uploaded["duplicate"].as_bool()),
        (Some("n +.pnm"), Some(false))
    );
}

#[test]
fn an_original_comes_whole_in_part_or_not_again() {
    let stage = Stage::set();
    let page = Browser::window(&stage, &[]);
    page.until("document.readyState === 'complete'");
    let size = std::fs::metadata(asset("rocket.jpg")).unwrap().len();
    let fetched = page.wait_for(
        "{const answer = await fetch('api/images/2/original'); \
          return [(await answer.arrayBuffer()).byteLength, answer.headers.get('content-type'), answer.headers.get('etag')]}",
    );
    assert_eq!((fetched[0].as_u64(), fetched[1].as_str()), (Some(size), Some("image/jpeg")));
    let ask = |header: &str, value: &str| {
        page.wait_for(&format!(
            "{{const answer = await fetch('api/images/2/original', {{headers: {{[{}]: {}}}}}); \
              return [answer.status, (await answer.arrayBuffer()).byteLength, answer.headers.get('content-range')]}}",
            json!(header), json!(value)
        ))
    };
    assert_eq!(ask("range", "bytes=10-19"), json!([206, 10, format!("bytes 10-19/{size}")]));
    assert_eq!(ask("range", &format!("bytes={size}-"))[0], 416);
    assert_eq!(ask("if-none-match", fetched[2].as_str().unwrap())[0], 304);
}

#[test]
fn the_page_cannot_be_led_elsewhere_nor_run_what_it_was_not_given() {
    let stage = Stage::set();
    let page = Browser::window(&stage, &[]);
    page.until("document.readyState === 'complete'");
    page.script("window.here = 7; location.href = 'http://127.0.0.1:9/';");
    page.script("const a = document.createElement('a'); a.href = 'data:text/html,x'; a.click();");
    page.script("const a = document.createElement('a'); a.href = 'file:///etc/passwd'; a.click();");
    assert_eq!(page.script("return window.open('https://example.org/') === null"), true);
    page.script(
        "const code = document.createElement('script'); code.textContent = 'window.ran = 1'; \
         document.body.append(code); \
         const image = new Image(); image.setAttribute('onerror', 'window.ran = 2'); image.src = 'ui/none'; \
         document.body.append(image);",
    );
    let refused =
        page.wait_for("fetch('http://127.0.0.1:9/').then(() => 'reached', (error) => error.name)");
    assert_eq!(refused, "TypeError");
    assert_eq!(
        page.script("return [window.here, window.ran ?? null, location.origin]"),
        json!([7, null, "imgrepo://localhost"])
    );
    // What only a test may ask for is frozen in, and what no one may ask for does nothing.
    page.asks(&json!({"do": "run", "program": "/bin/sh"}));
    assert_eq!(
        page.script(
            "try { window.imgrepoWindow.version = 2 } catch {} return window.imgrepoWindow.version"
        ),
        1
    );
}
