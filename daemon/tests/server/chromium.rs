//! A real browser at the browser's door: Chromium takes up a link, as a person does, and tries from
//! another site's page what such a page would. Where there is no Chromium this proves nothing and says so.
//!
//! `IMGREPO_SHOTS=DIR` keeps pictures of what was seen.

use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use imgrepo_proto::invitation::Trust;
use imgrepo_proto::session::people::Invite;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;

use crate::door::Door;

/// How long anything may take: a browser's first start on a busy computer takes some of it.
const PATIENCE: Duration = Duration::from_secs(60);

/// A Chromium with one page, spoken with by its own protocol for tools (DevTools).
struct Chromium {
    process: Child,
    socket: WebSocketStream<TcpStream>,
    page: Value,
    next_id: u64,
    /// What the page was told off for.
    complaints: Vec<String>,
    _folder: tempfile::TempDir,
}

impl Drop for Chromium {
    fn drop(&mut self) {
        // Its own children end with it.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn program() -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let names = ["chromium", "chromium-browser", "google-chrome"];
    let mut places = std::env::split_paths(&path).flat_map(|dir| names.map(|name| dir.join(name)));
    places.find(|place| place.is_file())
}

impl Chromium {
    /// One that knows the server by its key alone, as a person who looked at it does.
    #[allow(clippy::print_stdout)] // A test that proves nothing says so.
    async fn start(language: &str, pin: &[u8; 32]) -> Option<Chromium> {
        let Some(program) = program() else {
            println!("*** NOT PROVEN HERE: the pages in a real browser need Chromium");
            return None;
        };
        let folder = tempfile::tempdir().unwrap();
        let pin = data_encoding::BASE64.encode(pin);
        let mut process = Command::new(program)
            .args(["--headless=new", "--disable-gpu", "--no-first-run", "--disable-dev-shm-usage"])
            // It refuses to run as root with it, and shows our own page alone.
            .args(["--no-sandbox", "--window-size=800,900", "--remote-debugging-port=0"])
            .arg(format!("--user-data-dir={}", folder.path().display()))
            .arg(format!("--accept-lang={language}"))
            .arg(format!("--ignore-certificate-errors-spki-list={pin}"))
            .arg("about:blank")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (tell, told) = tokio::sync::oneshot::channel();
        let lines = BufReader::new(process.stderr.take().unwrap()).lines();
        // Ends with the process; until then somebody has to read on.
        std::thread::spawn(move || {
            let mut tell = Some(tell);
            for line in lines.map_while(Result::ok) {
                if let Some(url) = line.strip_prefix("DevTools listening on ")
                    && let Some(tell) = tell.take()
                {
                    let _ = tell.send(url.to_owned());
                }
            }
        });
        let url = tokio::time::timeout(PATIENCE, told).await.unwrap().unwrap();
        let place = url.strip_prefix("ws://").unwrap().split('/').next().unwrap();
        let stream = TcpStream::connect(place).await.unwrap();
        let (socket, _) = tokio_tungstenite::client_async(&url, stream).await.unwrap();
        let (page, complaints) = (Value::Null, Vec::new());
        let mut chromium =
            Chromium { process, socket, page, next_id: 0, complaints, _folder: folder };
        let target = chromium.tell("Target.createTarget", json!({"url": "about:blank"})).await;
        let attach = json!({"targetId": target["targetId"], "flatten": true});
        chromium.page = chromium.tell("Target.attachToTarget", attach).await["sessionId"].clone();
        chromium.tell("Page.enable", json!({})).await;
        chromium.tell("Log.enable", json!({})).await;
        Some(chromium)
    }

    /// The next message; what the browser complains of is kept.
    async fn message(&mut self) -> Value {
        loop {
            let next = tokio::time::timeout(PATIENCE, self.socket.next()).await;
            let Message::Text(text) = next.unwrap().unwrap().unwrap() else { continue };
            let message: Value = serde_json::from_str(text.as_str()).unwrap();
            if message["method"] == "Log.entryAdded" {
                self.complaints.push(message["params"]["entry"]["text"].to_string());
            }
            return message;
        }
    }

    async fn tell(&mut self, method: &str, params: Value) -> Value {
        let told = self.asked(method, params).await;
        told.unwrap_or_else(|error| panic!("{method}: {error}"))
    }

    async fn asked(&mut self, method: &str, params: Value) -> Result<Value, Value> {
        self.next_id += 1;
        let id = self.next_id;
        let mut message = json!({"id": id, "method": method, "params": params});
        if !self.page.is_null() {
            message["sessionId"] = self.page.clone();
        }
        self.socket.send(Message::text(message.to_string())).await.unwrap();
        loop {
            let message = self.message().await;
            if message["id"] == id {
                return match message["error"].is_null() {
                    true => Ok(message["result"].clone()),
                    false => Err(message),
                };
            }
        }
    }

    async fn open(&mut self, url: &str) {
        // Another address behind the same `#` would be no load at all.
        self.tell("Page.navigate", json!({"url": "about:blank"})).await;
        let opened = self.tell("Page.navigate", json!({"url": url})).await;
        assert!(opened["errorText"].is_null(), "{url}: {opened}");
    }

    /// The value of an expression, awaited.
    async fn value(&mut self, expression: &str) -> Value {
        let asked = json!({
            "expression": expression, "awaitPromise": true, "returnByValue": true,
            "userGesture": true,
        });
        let result = self.tell("Runtime.evaluate", asked).await;
        assert!(result["exceptionDetails"].is_null(), "{expression}: {result}");
        result["result"]["value"].clone()
    }

    /// Waits until this part of the page is shown; its text.
    async fn shown(&mut self, id: &str) -> String {
        let asked = format!(
            "new Promise((done) => {{ const look = () => {{
                const part = document.getElementById('{id}');
                if (part && !part.hidden && document.readyState === 'complete')
                    done(part.innerText);
                else setTimeout(look, 10);
            }}; look(); }})"
        );
        let asked = json!({"expression": asked, "awaitPromise": true, "returnByValue": true});
        let wait = async {
            loop {
                // Another page may come meanwhile, which ends what the one before was asked.
                if let Ok(told) = self.asked("Runtime.evaluate", asked.clone()).await
                    && let Some(text) = told["result"]["value"].as_str()
                {
                    return text.to_owned();
                }
            }
        };
        let wait = tokio::time::timeout(PATIENCE, wait);
        wait.await.unwrap_or_else(|_| panic!("`{id}` is not shown"))
    }

    async fn press(&mut self, selector: &str) {
        self.value(&format!("document.querySelector('{selector}').click()")).await;
    }

    /// Pictures of the page by day, by night and on a telephone.
    async fn shoot(&mut self, name: &str) {
        let Some(folder) = std::env::var_os("IMGREPO_SHOTS").map(PathBuf::from) else { return };
        for (scheme, width) in [("light", 800), ("dark", 800), ("dark", 360)] {
            let feature = json!([{"name": "prefers-color-scheme", "value": scheme}]);
            self.tell("Emulation.setEmulatedMedia", json!({"features": feature})).await;
            let size = json!({"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500});
            self.tell("Emulation.setDeviceMetricsOverride", size).await;
            let shot = self.tell("Page.captureScreenshot", json!({})).await;
            let shot = data_encoding::BASE64.decode(shot["data"].as_str().unwrap().as_bytes());
            std::fs::create_dir_all(&folder).unwrap();
            let file = folder.join(format!("{name}-{scheme}-{width}.png"));
            std::fs::write(file, shot.unwrap()).unwrap();
        }
        self.tell("Emulation.clearDeviceMetricsOverride", json!({})).await;
        self.tell("Emulation.setEmulatedMedia", json!({"features": []})).await;
    }

    fn assert_content(&self) {
        let told = self.complaints.iter();
        let policy: Vec<_> = told.filter(|text| text.contains("Content Security Policy")).collect();
        assert!(policy.is_empty(), "{policy:?}");
    }
}

fn pin(door: &Door) -> [u8; 32] {
    match door.identity.trust() {
        Trust::Pin(pin) => pin,
        Trust::Authorities => unreachable!("its certificate is its own"),
    }
}

#[tokio::test]
async fn a_person_joins_by_their_browser_and_leaves() {
    let door = Door::new().await;
    let Some(mut browser) = Chromium::start("en-GB", &pin(&door)).await else { return };
    let base = format!("https://{}", door.host());
    let secret = door.invite(Invite::default()).await;
    browser.open(&format!("{base}/join#{secret}")).await;
    assert!(browser.shown("ask").await.contains("You are invited"));
    assert_eq!(browser.value("location.href").await, format!("{base}/join"), "no secret in sight");
    assert_eq!(browser.value("document.activeElement.id").await, "user");
    let label = browser.value("document.getElementById('device').value").await;
    assert!(label.as_str().unwrap().starts_with("Chrome"), "{label}");
    let unlabelled = "[...document.querySelectorAll('input')].filter(i => !i.labels.length).length";
    assert_eq!(browser.value(unlabelled).await, 0);
    browser.shoot("join").await;

    // A name that is no name: the server's words, and nothing is used up.
    browser.tell("Input.insertText", json!({"text": "ana (guest)"})).await;
    browser.press("#ask button").await;
    let refused = browser.shown("refused").await;
    assert!(refused.contains("(guest)") && !refused.contains("--user"), "{refused}");
    browser.shoot("refused").await;
    browser.value("document.getElementById('user').value = ''").await;
    browser.value("document.getElementById('user').focus()").await;
    browser.tell("Input.insertText", json!({"text": "ana"})).await;
    browser.press("#ask button").await;
    browser.shown("app").await;
    assert_eq!(browser.value("location.href.split('#')[0]").await, format!("{base}/"), "the page");
    assert_eq!(browser.value("document.cookie").await, "", "no script reads it");
    browser.shoot("page").await;
    browser.open(&format!("{base}/join")).await;
    assert!(browser.shown("here").await.contains("You are ana here"));
    browser.shoot("here").await;
    browser.assert_content();

    // Another site's page: what it asks for comes with the cookie or without, and does nothing.
    browser.open(&format!("http://{}/", door.host())).await;
    // What is asked for goes out: this is not about our own page's policy.
    browser.tell("Page.setBypassCSP", json!({"enabled": true})).await;
    browser.tell("Page.reload", json!({})).await;
    let foreign = format!(
        "(async () => {{
            const post = {{ method: 'POST', mode: 'no-cors', credentials: 'include', body: '{{}}' }};
            await fetch('{base}/api/logout', post).catch(() => {{}});
            const json = {{ ...post, mode: 'cors', headers: {{ 'Content-Type': 'application/json' }} }};
            const read = await fetch('{base}/api/logout', json).then(() => 'read', () => 'kept out');
            const socket = new WebSocket('{}/', 'imgrepo.v2');
            const opened = await new Promise((done) => {{
                socket.onopen = () => done('open');
                socket.onerror = () => done('kept out');
            }});
            return [location.origin.slice(0, 5), read, opened].join();
        }})()",
        base.replace("https:", "wss:")
    );
    assert_eq!(browser.value(&foreign).await, "http:,kept out,kept out");
    browser.tell("Page.setBypassCSP", json!({"enabled": false})).await;

    browser.open(&format!("{base}/join")).await;
    assert!(browser.shown("here").await.contains("You are ana here"), "still, and by the cookie");
    browser.press("#leave").await;
    assert!(browser.shown("closed").await.contains("You have logged out"));
    browser.open(&format!("{base}/login")).await;
    assert!(browser.shown("closed").await.contains("A part of the link is missing"));
    browser.shoot("closed").await;
    browser.assert_content();
}

#[tokio::test]
async fn a_login_link_works_in_portuguese_once() {
    let door = Door::new().await;
    let Some(mut browser) = Chromium::start("pt-BR", &pin(&door)).await else { return };
    let base = format!("https://{}", door.host());
    door.joined("ana").await;
    let bound = Invite { person: Some("ana".to_owned()), ..Invite::default() };
    let link = format!("{base}/login#{}", door.invite(bound).await);
    browser.open(&link).await;
    assert!(browser.shown("ask").await.contains("Entrar aqui"));
    assert_eq!(browser.value("document.documentElement.lang").await, "pt-BR");
    browser.press("#ask button").await;
    browser.shown("app").await;
    browser.open(&format!("{base}/login")).await;
    let here = browser.shown("here").await;
    assert!(here.contains("Aqui você é ana") && here.contains("Sair"), "{here}");
    let untold = "[...document.querySelectorAll('[data-say]')].filter(e => !e.textContent).length";
    assert_eq!(browser.value(untold).await, 0);
    browser.shoot("here-pt").await;
    browser.open(&link).await;
    browser.shown("ask").await;
    browser.press("#ask button").await;
    let refused = browser.shown("refused").await;
    assert!(
        refused.contains("já foi usado"),
        "it let in once, and says so in Portuguese: {refused}"
    );
    browser.shoot("refused-pt").await;
    browser.assert_content();
}
