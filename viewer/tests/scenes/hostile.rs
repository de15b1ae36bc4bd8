//! Names and what cameras wrote are strangers' words: they are shown as they are and do nothing.

use std::os::unix::ffi::OsStrExt as _;

use serde_json::json;

use crate::key;
use crate::stage::browser::{Browser, Engine, System};
use crate::stage::{Stage, asset, pictures};

in_both_engines! { a_thousand_names what_a_camera_wrote }

/// Beginnings of names that would do something where they were taken for more than words.
const WORDS: [&str; 40] = [
    "<img src=x onerror=alert(1)>",
    "<script>alert(1)<∕script>",
    "\"><svg onload=alert(1)>",
    "'><body onpageshow=alert(1)>",
    "javascript:alert(1)",
    "<a href=javascript:alert(1) autofocus onfocus=alert(1)>x",
    "<iframe srcdoc='<script>alert(1)'>",
    "<style>*{display:none}",
    "<base href=https:evil.example>",
    "<meta http-equiv=refresh content=0>",
    "<dialog open>",
    "<form id=app><input name=attributes>",
    "<details open ontoggle=alert(1)>",
    "<!-- ",
    "]]>",
    "--><b>",
    "&lt;b&gt;&amp;&#0;",
    "%3Cscript%3Ealert(1)%3C%2Fscript%3E",
    "..%2f..%2fetc%2fpasswd",
    "%00%0d%0aSet-Cookie: a=b",
    "${alert(1)}{{alert(1)}}<%= alert(1) %>",
    "'-alert(1)-'",
    "`;alert(1)",
    "$(touch x);rm -rf ~",
    "-rf --version",
    "__proto__",
    "constructor",
    "hasOwnProperty",
    "#",
    "?v=1&download",
    "7",
    " leading and trailing ",
    "line\nbreak\ttab\u{1b}[31mred\u{7}",
    "\u{202e}gpj.exe",
    "\u{2066}\u{2069}\u{200f}\u{feff}",
    "عربي (عبرית) 12",
    "👩\u{200d}👩\u{200d}👧\u{200d}👦",
    "Z\u{351}\u{36b}\u{343}\u{36a}\u{302}\u{36b}\u{33d}\u{34f}",
    "長い名前長い名前長い名前長い名前長い名前長い名前長い名前長い名前長い名前",
    "WWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWW",
];

/// What must be so whatever the words are: nothing ran, nothing was made of them.
const HARMLESS: &str = "return [window.ran.length, document.querySelectorAll( \
      'script:not([src]), iframe, object, embed, base, meta[http-equiv], style, [onerror], [onload], \
       [onfocus], [ontoggle], [onpageshow], a[href^=\"javascript:\"]').length, \
    document.querySelectorAll('body').length, getComputedStyle(document.getElementById('app')).display \
      === 'none', location.pathname]";

fn assert_harmless(page: &Browser) {
    // An engine that shows a dialog answers no script: this would fail then.
    assert_eq!(page.script(HARMLESS), json!([0, 0, 1, false, "/"]));
}

fn a_thousand_names(engine: Engine) {
    let stage = Stage::bare_with_daemon();
    let folder = stage.path("names");
    std::fs::create_dir_all(&folder).unwrap();
    for number in 0..1000usize {
        let name = format!("{}{}.ppm", WORDS[number % WORDS.len()], number / WORDS.len());
        pictures::small(&folder.join(std::ffi::OsStr::from_bytes(name.as_bytes())), number);
    }
    // Their person's name is no better.
    let member = stage.member("<img src=x onerror=alert(2)>");
    stage.upload_by(&member, std::slice::from_ref(&folder));
    let page = Browser::open(engine, &stage, System::default());
    page.until_wall();
    assert_harmless(&page);

    // On the wall, all of them.
    let seen = page.wait_for(
        "{const {shown} = await import('./ui/record.js'); \
          const names = new Map(); \
          for (let cursor = ''; cursor !== null;) { \
            const answer = await fetch('api/images?limit=500' + (cursor && '&cursor=' + encodeURIComponent(cursor))); \
            const {images, next} = await answer.json(); \
            for (const image of images) names.set(String(image.id), image.name); \
            cursor = next; \
          } \
          const frame = () => new Promise((done) => requestAnimationFrame(done)); \
          const wall = document.getElementById('wall'); \
          const seen = new Map(); \
          for (let at = 0, turns = 0; seen.size < names.size && turns < 5; at += wall.clientHeight * 0.7) { \
            wall.scrollTop = at; \
            await frame(); await frame(); await frame(); \
            for (const tile of document.querySelectorAll('#grid [data-image]')) \
              seen.set(tile.dataset.image, tile.title + '\\n' + tile.getAttribute('aria-label').startsWith(tile.title)); \
            if (at > wall.scrollHeight) { at = 0; turns += 1; } \
          } \
          const wrong = [...names].filter(([id, name]) => seen.get(id) !== shown(name) + '\\ntrue'); \
          wall.scrollTop = 0; \
          return [names.size, seen.size, wrong]}",
    );
    assert_eq!(seen, json!([1000, 1000, []]));
    assert_harmless(&page);
    page.until_wall();
    page.screenshot(&format!("names-{engine:?}"));

    // Alone, with all that is told of it; each kind once.
    for number in 0..WORDS.len() as u64 {
        let id = 1 + number;
        page.script(&format!("location.hash = '#/{id}'"));
        page.until_looking_at(id);
        if number == 0 {
            page.keys("i");
        }
        page.until("!document.getElementById('info').hidden");
        let same = page.wait_for(&format!(
            "{{const {{shown}} = await import('./ui/record.js'); \
              const {{image}} = await (await fetch('api/images/{id}')).json(); \
              const told = (id) => document.getElementById(id).textContent; \
              return [told('single-name') === shown(image.name), told('info-name') === shown(image.name), \
                told('info-person') === shown(image.uploader), document.title.startsWith(shown(image.name).trim().slice(0, 5).trim())]}}"
        ));
        assert_eq!(same, json!([true, true, true, true]), "{id}");
    }
    page.screenshot(&format!("name-{engine:?}"));
    assert_harmless(&page);

    // In a notice, in the field of a new name, among uploads.
    page.keys(&key::F2.to_string());
    page.until("document.getElementById('rename').open");
    page.keys(&key::ESCAPE.to_string());
    page.keys(&key::DELETE.to_string());
    page.until("document.querySelector('.toast button')");
    assert_harmless(&page);
    let dropped: Vec<_> = WORDS[..12]
        .iter()
        .enumerate()
        .map(|(number, words)| {
            let path = stage.path(&format!("{words} dropped.ppm"));
            pictures::small(&path, 2000 + number);
            path
        })
        .collect();
    page.drop_files(&dropped);
    page.until("document.querySelectorAll('[data-upload=stored]').length === 12");
    assert_harmless(&page);
}

fn what_a_camera_wrote(engine: Engine) {
    let stage = Stage::bare_with_daemon();
    let words = "<img src=x onerror=alert(3)><script>alert(4)</script>&lt;\u{202e}";
    let path = stage.path("camera.jpg");
    std::fs::write(&path, with_exif(&std::fs::read(asset("rocket.jpg")).unwrap(), words)).unwrap();
    stage.ok(&["-q", "upload", path.to_str().unwrap()]);
    let page = Browser::open(engine, &stage, System::default());
    page.until_wall();
    page.click("[data-image=\"1\"]");
    page.until_looking_at(1);
    page.keys("i");
    for row in ["description", "camera", "software", "artist", "copyright"] {
        let row = format!("document.querySelector('[data-row=\"info.{row}\"] bdi')?.textContent");
        page.until(&format!("{row}?.includes('<script>alert(4)</script>&lt;')"));
    }
    page.screenshot(&format!("exif-{engine:?}"));
    assert_harmless(&page);
}

/// A JPEG with these words wherever EXIF has any (EXIF 2.32, 4.6.4: ASCII is what cameras say UTF-8 in).
fn with_exif(jpeg: &[u8], words: &str) -> Vec<u8> {
    // Description, make, model, software, artist, copyright.
    let tags = [0x010eu16, 0x010f, 0x0110, 0x0131, 0x013b, 0x8298];
    let text = [words.as_bytes(), &[0]].concat();
    let place = 8 + 2 + 12 * tags.len() as u32 + 4;
    let mut tiff = b"MM\0*\0\0\0\x08".to_vec();
    tiff.extend((tags.len() as u16).to_be_bytes());
    for tag in tags {
        tiff.extend(tag.to_be_bytes());
        tiff.extend(2u16.to_be_bytes());
        tiff.extend((text.len() as u32).to_be_bytes());
        tiff.extend(place.to_be_bytes());
    }
    tiff.extend(0u32.to_be_bytes());
    tiff.extend(&text);
    let segment = [b"Exif\0\0".as_slice(), &tiff].concat();
    let length = (segment.len() as u16 + 2).to_be_bytes();
    [&jpeg[..2], &[0xff, 0xe1], &length, &segment, &jpeg[2..]].concat()
}
