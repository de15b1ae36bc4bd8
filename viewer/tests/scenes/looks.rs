//! How it looks and reads: in both languages, by day and by night, to a screen reader.

use std::path::Path;

use serde_json::{Value, json};

use crate::key;
use crate::stage::browser::{Browser, Engine, System};
use crate::stage::{Stage, asset, pictures};

in_both_engines! { both_languages by_night every_view_is_accessible }

fn both_languages(engine: Engine) {
    let stage = Stage::set();
    for (is_portuguese, file, lang, today) in
        [(false, "en", "en", "Today"), (true, "pt", "pt-BR", "Hoje")]
    {
        let page = Browser::open(engine, &stage, System { is_portuguese, ..System::default() });
        page.until_wall();
        assert_eq!(page.script("return document.documentElement.lang"), lang);
        assert_eq!(page.text("#grid h2"), today);
        // All that has words has those of its language.
        let wrong = page.wait_for(&format!(
            "{{const {{default: words}} = await import('./ui/texts/{file}.js'); \
              const wrong = []; \
              for (const one of document.querySelectorAll('[data-say], [data-label], [data-hint]')) {{ \
                const {{say, label, hint}} = one.dataset; \
                if (say && one.textContent !== words[say]) wrong.push(say); \
                if (label && one.getAttribute('aria-label') !== words[label]) wrong.push(label); \
                if (hint && one.placeholder !== words[hint]) wrong.push(hint); \
              }} return wrong}}"
        ));
        assert_eq!(wrong, json!([]));
        // What is refused, too.
        let note = stage.path("note.txt");
        std::fs::write(&note, "no image").unwrap();
        page.drop_files(&[note]);
        page.until("document.querySelector('[data-upload=failed]')");
        let refused = page.text("[data-upload=failed]");
        assert_eq!(refused.contains("não"), is_portuguese, "{refused}");
        page.screenshot(&format!("language-{file}-{engine:?}"));
    }
}

fn by_night(engine: Engine) {
    let stage = Stage::set();
    for (is_dark, ground) in [(false, "rgb(244, 242, 238)"), (true, "rgb(22, 21, 20)")] {
        let page = Browser::open(engine, &stage, System { is_dark, ..System::default() });
        page.until_wall();
        let told = page.script("return getComputedStyle(document.body).backgroundColor");
        assert_eq!(told, ground);
        let audit = Audit::of(&page);
        audit.assert_fine("wall");
        page.click("[data-image=\"2\"]");
        page.until_looking_at(2);
        page.keys("i");
        page.until("document.querySelector('[data-row=\"info.hash\"]')");
        page.screenshot(&format!("night-{is_dark}-{engine:?}"));
        audit.assert_fine("single");
    }
}

fn every_view_is_accessible(engine: Engine) {
    let stage = Stage::set();
    let page = Browser::open(engine, &stage, System::default());
    page.until_wall();
    let audit = Audit::of(&page);
    page.keys("?");
    page.until("document.getElementById('help').open");
    audit.assert_fine("keys");
    page.keys(&key::ESCAPE.to_string());
    page.click("#search-more");
    page.until("!document.getElementById('search-panel').hidden");
    audit.assert_fine("search");
    page.keys(&key::ESCAPE.to_string());
    page.keys("zzz");
    page.until("document.documentElement.dataset.state === 'none-found'");
    audit.assert_fine("nothing found");
    page.click("#search-clear");
    page.until_wall();
    page.click("[data-image=\"3\"]");
    page.until_looking_at(3);
    page.keys(&key::F2.to_string());
    page.until("document.getElementById('rename').open");
    audit.assert_fine("rename");
    page.keys(&key::ESCAPE.to_string());
    page.until("!document.getElementById('rename').open");
    page.keys(&key::ESCAPE.to_string());
    page.until_wall();
    page.keys("x");
    page.until("!document.getElementById('selected').hidden");
    let (new, none) = (stage.path("new.ppm"), stage.path("none.txt"));
    pictures::small(&new, 1);
    std::fs::write(&none, "no image").unwrap();
    page.drop_files(&[new, none]);
    page.until(
        "document.querySelectorAll('[data-upload=failed], [data-upload=stored]').length === 2",
    );
    page.until_wall();
    audit.assert_fine("selection and uploads");
    page.keys(&key::DELETE.to_string());
    page.until("document.querySelector('.toast button')");
    audit.assert_fine("notices");
}

/// axe-core in a page: what it finds that keeps people out.
struct Audit<'a>(&'a Browser);

impl Audit<'_> {
    fn of(page: &Browser) -> Audit<'_> {
        let target = Path::new(env!("CARGO_BIN_EXE_imgview")).ancestors().nth(2).unwrap();
        let axe = target.join("ui-tools/node_modules/axe-core/axe.min.js");
        let axe = std::fs::read_to_string(axe).expect("axe-core: run make setup");
        page.script(&axe);
        Audit(page)
    }

    fn assert_fine(&self, view: &str) {
        self.0.until_settled();
        let found = self.0.wait_for(
            "(await axe.run(document, {resultTypes: ['violations']})).violations.map((one) => \
               [one.impact, one.id, one.nodes.map((node) => [node.html, node.failureSummary])])",
        );
        let grave: Vec<&Value> = found
            .as_array()
            .unwrap()
            .iter()
            .filter(|one| one[0] == "serious" || one[0] == "critical")
            .collect();
        assert!(grave.is_empty(), "{view}: {grave:#?}");
    }
}

/// The pictures of the manuals, where `IMGREPO_SCREENSHOTS` names a folder: of photographs that are
/// cut out of the three that come along.
#[test]
fn pictures_for_the_manuals() {
    if std::env::var_os("IMGREPO_SCREENSHOTS").is_none() {
        return;
    }
    let stage = Stage::set();
    let folder = stage.path("Shared");
    std::fs::create_dir_all(&folder).unwrap();
    for number in 0..26usize {
        let name =
            ["rocket.jpg", "coffee.png", "hubble.jpg", "coffee.png", "rocket.jpg"][number % 5];
        // Parts of each picture, in thousandths of its sides, and how much they are enlarged.
        let (part, size) = if name == "coffee.png" { (150, "480%") } else { (420, "200%") };
        let side = |most: usize| part * most / 1000;
        let (width, height) = [(1000, 560), (620, 620), (760, 520), (420, 640)][number % 4];
        let (x, y) = (number * 29 % side(360), number * 17 % side(100));
        let crop = format!("{}x{}+{x}+{y}", side(width), side(height));
        let mut convert = stage.command("convert");
        convert.arg(asset(name)).args(["-crop", &crop, "+repage", "-resize", size]);
        convert.args(["-modulate", &format!("100,100,{}", 92 + number * 5 % 17)]);
        if number % 3 == 1 {
            convert.arg("-flop");
        }
        let made = convert.arg(folder.join(format!("{number}.jpg"))).status().unwrap();
        assert!(made.success());
    }
    stage.ok(&["-q", "upload", folder.to_str().unwrap()]);
    let dark = System { is_dark: true, ..System::default() };
    let page = Browser::open(Engine::Chromium, &stage, dark);
    page.until_wall();
    page.screenshot("manual-wall");
    drop(page);
    let page = Browser::open(Engine::Chromium, &stage, System::default());
    page.until_wall();
    page.script("location.hash = '#/2'");
    page.until_looking_at(2);
    page.keys("i");
    page.until("document.querySelector('[data-row=\"info.hash\"]')");
    page.screenshot("manual-single");
}
