//! A page in an engine, driven as a person would: the window's own (WebKitGTK by WebKitWebDriver)
//! or Chromium (by chromedriver). The same scenes run in both.

use std::net::TcpListener;
use std::path::PathBuf;
use std::process::Stdio;

use serde_json::{Value, json};

use super::wire::ask;
use super::{Group, Stage, until};

/// The name that WebDriver has for the member with an element's id (WebDriver, 12.1).
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// A page that is open. Dropped, it is closed, with its engine.
pub(crate) struct Browser {
    port: u16,
    session: String,
    driver: Group,
}

impl Browser {
    /// The window, started with these arguments.
    pub(crate) fn window(stage: &Stage, args: &[&str]) -> Browser {
        let port = free_port();
        let mut command = stage.command("WebKitWebDriver");
        command.args([format!("--port={port}"), "--host=127.0.0.1".to_owned()]);
        let driver = Group::start(command.stdout(Stdio::null()).stderr(Stdio::null()));
        let args = [&["--automation"], args].concat();
        let options = json!({"binary": env!("CARGO_BIN_EXE_imgview"), "args": args});
        let browser = Browser::begin(port, driver, json!({"webkitgtk:browserOptions": options}));
        browser.listen();
        browser
    }

    /// Chromium without a screen, at this address.
    pub(crate) fn chromium(stage: &Stage, url: &str) -> Browser {
        let port = free_port();
        let mut command = stage.command("chromedriver");
        command.arg(format!("--port={port}"));
        let driver = Group::start(command.stdout(Stdio::null()).stderr(Stdio::null()));
        let data = format!("--user-data-dir={}", stage.path("chromium").display());
        let args = [
            "--headless=new",
            // Root may not use it, and it is our own page.
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--window-size=1180,780",
            &data,
        ];
        let options = json!({"args": args, "binary": "/usr/bin/chromium"});
        let browser = Browser::begin(port, driver, json!({"goog:chromeOptions": options}));
        browser.post("url", &json!({"url": url}));
        browser
    }

    fn begin(port: u16, driver: Group, always: Value) -> Browser {
        until("a driver", || ask(port, "GET", "/status", &Value::Null).ok());
        let wanted = json!({"capabilities": {"alwaysMatch": always}});
        let begun = ask(port, "POST", "/session", &wanted).unwrap();
        let session = begun["sessionId"].as_str().unwrap().to_owned();
        Browser { port, session, driver }
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
        until(expression, || {
            let told = self.script(&format!("return Boolean({expression});"));
            told.as_bool().filter(|is| *is)
        });
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

    /// A picture of the page for a person to look at, where `IMGREPO_SCREENSHOTS` names a folder.
    pub(crate) fn screenshot(&self, name: &str) {
        let Some(folder) = std::env::var_os("IMGREPO_SCREENSHOTS") else { return };
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
