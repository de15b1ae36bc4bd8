//! A page in an engine, driven as a person would: the window's own (WebKitGTK by WebKitWebDriver)
//! or Chromium (by chromedriver). The same scenes run in both.

use std::net::TcpListener;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};

use super::wire::ask;
use super::{Group, PATIENCE, Stage, until, until_or};

/// The name that WebDriver has for the member with an element's id (WebDriver, 12.1).
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// How a page stands, for a test that fails.
const STANDS: &str = "return [location.href, {...document.documentElement.dataset}, \
    document.activeElement?.outerHTML?.slice(0, 200), document.getElementById('toasts')?.innerText, \
    [...document.querySelectorAll('[data-image]')].slice(0, 30).map((one) => ({...one.dataset}))]";

/// Which engine shows a page.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Engine {
    /// The window's own.
    Window,
    Chromium,
}

/// What the system asks of a page.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct System {
    pub(crate) is_portuguese: bool,
    pub(crate) is_dark: bool,
}

/// How long a script of a test may take; what asks for it waits a little longer.
const SCRIPT: Duration = Duration::from_secs(110);

/// A page that is open. Dropped, it is closed, with its engine.
pub(crate) struct Browser {
    pub(crate) engine: Engine,
    port: u16,
    session: String,
    driver: Group,
}

impl Browser {
    /// The window, started with these arguments.
    pub(crate) fn window(stage: &Stage, args: &[&str]) -> Browser {
        Browser::window_at(stage, args, System::default())
    }

    fn window_at(stage: &Stage, args: &[&str], system: System) -> Browser {
        let port = free_port();
        let mut command = stage.command("WebKitWebDriver");
        command.args([format!("--port={port}"), "--host=127.0.0.1".to_owned()]);
        command.env("GTK_THEME", if system.is_dark { "Adwaita:dark" } else { "Adwaita" });
        if system.is_portuguese {
            command.env("LANG", "pt_BR.UTF-8");
        }
        let driver = Group::start(command.stdout(Stdio::null()).stderr(Stdio::null()));
        let args = [&["--automation"], args].concat();
        let options = json!({"binary": env!("CARGO_BIN_EXE_imgview"), "args": args});
        let always = json!({"webkitgtk:browserOptions": options});
        let browser = Browser::begin(Engine::Window, port, driver, always);
        browser.listen();
        browser
    }

    /// Chromium without a screen, at the repository's page, logged in.
    fn chromium(stage: &Stage, system: System) -> Browser {
        let port = free_port();
        let mut command = stage.command("chromedriver");
        command.arg(format!("--port={port}"));
        let driver = Group::start(command.stdout(Stdio::null()).stderr(Stdio::null()));
        let args = [
            "--headless=new".to_owned(),
            // Root may not use it, and it is our own page.
            "--no-sandbox".to_owned(),
            "--disable-gpu".to_owned(),
            "--disable-dev-shm-usage".to_owned(),
            "--window-size=1180,780".to_owned(),
            format!("--accept-lang={}", if system.is_portuguese { "pt-BR" } else { "en-GB" }),
            format!("--user-data-dir={}", stage.path("chromium").display()),
        ];
        let options = json!({"args": args, "binary": "/usr/bin/chromium"});
        let always = json!({"goog:chromeOptions": options, "acceptInsecureCerts": true});
        let browser = Browser::begin(Engine::Chromium, port, driver, always);
        let scheme = if system.is_dark { "dark" } else { "light" };
        let feature = json!([{"name": "prefers-color-scheme", "value": scheme}]);
        let told = json!({"cmd": "Emulation.setEmulatedMedia", "params": {"features": feature}});
        browser.post("goog/cdp/execute", &told);
        browser.post("url", &json!({"url": stage.login_link()}));
        browser.until("document.getElementById('ask')?.hidden === false");
        browser.click("#ask button");
        browser.until("location.pathname === '/'");
        browser
    }

    /// The page in an engine, with its images read.
    pub(crate) fn open(engine: Engine, stage: &Stage, system: System) -> Browser {
        let browser = match engine {
            Engine::Window => Browser::window_at(stage, &[], system),
            Engine::Chromium => Browser::chromium(stage, system),
        };
        browser.until("['ready', 'empty'].includes(document.documentElement.dataset.state)");
        browser.until("document.documentElement.dataset.session === 'connected'");
        // What nobody wants to see: words of strangers that ran, or asked for something.
        browser.script(
            "window.ran = []; \
             for (const name of ['alert', 'confirm', 'prompt']) window[name] = () => window.ran.push(name);",
        );
        browser
    }

    fn begin(engine: Engine, port: u16, driver: Group, always: Value) -> Browser {
        until("a driver", || ask(port, "GET", "/status", &Value::Null).ok());
        let wanted = json!({"capabilities": {"alwaysMatch": always}});
        let begun = ask(port, "POST", "/session", &wanted).unwrap();
        let session = begun["sessionId"].as_str().unwrap().to_owned();
        let browser = Browser { engine, port, session, driver };
        // Scripts that go through all of a wall take as long as many waits.
        let (script, load) = (SCRIPT.as_millis() as u64, PATIENCE.as_millis() as u64);
        browser.post("timeouts", &json!({"script": script, "pageLoad": load}));
        browser
    }

    /// Keeps what the page is told from now on in `window.heardByTest`.
    fn listen(&self) {
        self.script(
            "window.heardByTest = []; \
             addEventListener('imgrepo', (event) => window.heardByTest.push(event.detail));",
        );
    }

    fn post(&self, path: &str, body: &Value) -> Value {
        let path = format!("/session/{}/{path}", self.session);
        ask(self.port, "POST", &path, body).unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    /// What a script gives, which runs as a function.
    pub(crate) fn script(&self, script: &str) -> Value {
        self.post("execute/sync", &json!({"script": script, "args": []}))
    }

    /// What a script gives that waits for something: an expression that may be a promise.
    pub(crate) fn wait_for(&self, expression: &str) -> Value {
        let script = format!(
            "const done = arguments[arguments.length - 1]; \
             (async () => {expression})().then((told) => done({{told}}), \
             (error) => done({{error: String(error)}}));"
        );
        let told = self.post("execute/async", &json!({"script": script, "args": []}));
        assert!(told["error"].is_null(), "{expression}: {}", told["error"]);
        told["told"].clone()
    }

    /// Waits until this expression is true.
    pub(crate) fn until(&self, expression: &str) {
        let look = || {
            let told = self.script(&format!("return Boolean({expression});"));
            told.as_bool().filter(|is| *is)
        };
        until_or(look, || format!("{expression}; but: {}", self.script(STANDS)));
    }

    /// The text of the first of these, as it is seen.
    pub(crate) fn text(&self, selector: &str) -> String {
        let text =
            self.script(&format!("return document.querySelector({}).innerText", json!(selector)));
        text.as_str().unwrap().to_owned()
    }

    /// Waits until this image is looked at alone, and its picture is there.
    pub(crate) fn until_looking_at(&self, image: u64) {
        self.until(&format!(
            "document.querySelector('#single[data-image=\"{image}\"][data-picture=shown]:not([hidden])') && \
             location.hash.startsWith('#/{image}') && \
             document.querySelector('.frame[data-shown=\"{image}\"] img[data-layer]')?.naturalWidth > 0"
        ));
    }

    /// Waits until the wall is looked at, and each tile on the screen shows its picture or its type.
    pub(crate) fn until_wall(&self) {
        self.until(
            "document.documentElement.dataset.level === 'grid' && (() => { \
               const wall = document.getElementById('wall').getBoundingClientRect(); \
               const tiles = [...document.querySelectorAll('#grid [data-image]')].filter((tile) => { \
                 const box = tile.getBoundingClientRect(); \
                 return box.bottom > wall.top && box.top < wall.bottom; }); \
               return tiles.length > 0 && tiles.every((tile) => \
                 tile.dataset.picture === 'shown' || tile.querySelector('.instead')); })()",
        );
    }

    /// Waits until the page has been told something of which this expression over `told` is true.
    pub(crate) fn hears(&self, expression: &str) -> Value {
        let find = format!("window.heardByTest.find((told) => {expression})");
        self.until(&format!("{find} !== undefined"));
        self.script(&format!("return {find};"))
    }

    /// Asks the window for something, as the page does.
    pub(crate) fn asks(&self, message: &Value) {
        let text = message.to_string();
        self.post(
            "execute/sync",
            &json!({"script": "window.ipc.postMessage(arguments[0])", "args": [text]}),
        );
    }

    /// Has the page close the window, which may be gone before the driver has answered.
    pub(crate) fn close_window(&self) {
        let script = "window.ipc.postMessage('{\"do\":\"close\"}')";
        let path = format!("/session/{}/execute/sync", self.session);
        let _ = ask(self.port, "POST", &path, &json!({"script": script, "args": []}));
    }

    fn element(&self, selector: &str) -> String {
        let found = self.post("element", &json!({"using": "css selector", "value": selector}));
        found[ELEMENT].as_str().unwrap().to_owned()
    }

    /// Clicks on the first of these.
    pub(crate) fn click(&self, selector: &str) {
        let element = self.element(selector);
        self.post(&format!("element/{element}/click"), &json!({}));
    }

    /// Types into the page: WebDriver's own numbers for keys that are no characters.
    pub(crate) fn keys(&self, keys: &str) {
        let actions: Vec<Value> = keys
            .chars()
            .flat_map(|key| ["keyDown", "keyUp"].map(|kind| json!({"type": kind, "value": key})))
            .collect();
        let keyboard = json!({"type": "key", "id": "keyboard", "actions": actions});
        self.post("actions", &json!({"actions": [keyboard]}));
    }

    /// Types a key while another one is held.
    pub(crate) fn chord(&self, held: char, key: char) {
        let act = |kind: &str, value: char| json!({"type": kind, "value": value});
        let (down, up) = (act("keyDown", key), act("keyUp", key));
        let actions = json!([act("keyDown", held), down, up, act("keyUp", held)]);
        let keyboard = json!({"type": "key", "id": "keyboard", "actions": actions});
        self.post("actions", &json!({"actions": [keyboard]}));
    }

    /// Clicks twice at a place of the page, quickly.
    pub(crate) fn click_twice(&self, x: i64, y: i64) {
        let act = |kind: &str| json!({"type": kind, "button": 0});
        let go = json!({"type": "pointerMove", "x": x, "y": y});
        let (down, up) = (act("pointerDown"), act("pointerUp"));
        let actions = json!([go, down, up, down, up]);
        self.post(
            "actions",
            &json!({"actions": [{"type": "pointer", "id": "mouse", "actions": actions}]}),
        );
    }

    /// Drops files on the page: as bytes where a script has to do it, else as the window hears of it.
    pub(crate) fn drop_files(&self, paths: &[PathBuf]) {
        if self.engine == Engine::Window {
            return self.asks(&json!({"do": "drop", "paths": paths}));
        }
        let files: Vec<Value> = paths
            .iter()
            .map(|path| {
                json!([path.file_name().unwrap().to_str().unwrap(), std::fs::read(path).unwrap()])
            })
            .collect();
        let script = "const dataTransfer = new DataTransfer(); \
            for (const [name, bytes] of arguments[0]) \
                dataTransfer.items.add(new File([new Uint8Array(bytes)], name)); \
            for (const type of ['dragenter', 'dragover', 'drop']) { \
                const event = new DragEvent(type, {dataTransfer, bubbles: true, cancelable: true}); \
                document.getElementById('wall').dispatchEvent(event); }";
        self.post("execute/sync", &json!({"script": script, "args": [files]}));
    }

    /// Waits until what comes in slowly is there; what moves for ever is no reason to wait.
    pub(crate) fn until_settled(&self) {
        self.until(
            "document.getAnimations().every((one) => \
               one.playState === 'finished' || one.effect.getTiming().iterations === Infinity)",
        );
        // One frame is drawn from how it is now, and the next one says that it was.
        self.wait_for(
            "new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => done(1))))",
        );
    }

    /// A picture of the page for a person to look at, where `IMGREPO_SCREENSHOTS` names a folder.
    pub(crate) fn screenshot(&self, name: &str) {
        let Some(folder) = std::env::var_os("IMGREPO_SCREENSHOTS") else { return };
        self.until_settled();
        let path = format!("/session/{}/screenshot", self.session);
        let picture = ask(self.port, "GET", &path, &Value::Null).unwrap();
        let bytes = from_base64(picture.as_str().unwrap());
        std::fs::write(PathBuf::from(folder).join(format!("{name}.png")), bytes).unwrap();
    }

    /// Whether the window is still there to be driven.
    pub(crate) fn is_open(&mut self) -> bool {
        let path = format!("/session/{}/url", self.session);
        ask(self.port, "GET", &path, &Value::Null).is_ok()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let path = format!("/session/{}", self.session);
        // One whose window has closed knows of no session any more.
        let _ = ask(self.port, "DELETE", &path, &Value::Null);
        self.driver.kill();
    }
}

/// A port that nobody listens on: drivers cannot be asked to find one.
fn free_port() -> u16 {
    TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port()
}

fn from_base64(text: &str) -> Vec<u8> {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let (mut bytes, mut bits, mut count) = (Vec::new(), 0u32, 0);
    for digit in text.bytes().filter_map(|byte| DIGITS.iter().position(|digit| *digit == byte)) {
        bits = bits << 6 | digit as u32;
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push((bits >> count) as u8);
        }
    }
    bytes
}
