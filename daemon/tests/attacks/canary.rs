//! What lets in stands in no place where it was not put: no log, whatever it is asked to tell, no command
//! line or environment of a daemon, no file but the one that keeps credentials, no dump of memory.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};

use imgrepo_proto::control::people::{PeopleOutcome, PeopleRequest};
use imgrepo_proto::control::{Client, Endpoint, Outcome, Request};
use imgrepo_proto::invitation::Link;
use imgrepo_proto::session::command::{Audit, Invite, Program};
use imgrepo_proto::{Refusal, Secret};
use serde_json::{Value, json};

use crate::process::{Daemon, imgrepod};
use crate::support::{self, dial};

/// Of the form of a real one, and never one.
const FORGED: &str = "Zm9yZ2VkLWNhbmFyeS1uZXZlci1yZWFsLTAxMjM0NTY3";

/// A daemon that tells all it can.
struct Told {
    daemon: Daemon,
    home: PathBuf,
}

impl Told {
    fn start(ground: &Path, name: &str, args: &[&str], level: &str) -> Told {
        let (home, log) = (ground.join(name), ground.join(format!("{name}.log")));
        let program = imgrepod();
        let environment = [("IMGREPO_LOG", level)];
        // A dump of its memory would be allowed, had it not forbidden that itself.
        let args = [
            &["-c", "ulimit -c unlimited 2>/dev/null; exec \"$0\" \"$@\""],
            &[program.to_str().unwrap()][..],
            args,
        ]
        .concat();
        let daemon = Daemon::start(Path::new("sh"), &home, &log, &args, &environment).unwrap();
        Told { daemon, home }
    }

    fn call(&self, request: &Request) -> Result<Outcome, Refusal> {
        let program = Program { name: "test".to_owned(), version: "0".to_owned() };
        Client::connect(&Endpoint::at(self.home.join("run"), "control.sock"), program)?
            .call(request)
    }

    fn invite(&self, invite: Invite) -> (Link, Secret) {
        match self.call(&Request::People(PeopleRequest::Invite(invite))).unwrap() {
            Outcome::People(outcome) => match *outcome {
                PeopleOutcome::Invited(reply) => (reply.link.expose().parse().unwrap(), reply.link),
                other => panic!("{other:?}"),
            },
            other => panic!("{other:?}"),
        }
    }

    fn join(&self, link: &Secret, user: &str) -> Result<Outcome, Refusal> {
        let (link, user) = (link.clone(), Some(user.to_owned()));
        self.call(&Request::People(PeopleRequest::Join { link, user, device: None }))
    }

    /// What the system tells of the process.
    fn process(&self) -> Vec<(PathBuf, Vec<u8>)> {
        ["cmdline", "environ", "comm", "status", "limits"]
            .map(|name| PathBuf::from(format!("/proc/{}/{name}", self.daemon.pid())))
            .map(|path| (path.clone(), std::fs::read(path).unwrap_or_default()))
            .to_vec()
    }
}

/// A page's request, answered.
fn http(host: &str, request: &str) -> String {
    let mut stream = TcpStream::connect(host).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = Vec::new();
    // It may be refused before all of it was read.
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8(answer).unwrap()
}

fn post(host: &str, path: &str, more: &str, body: &Value) -> String {
    let body = body.to_string();
    http(
        host,
        &format!(
            "POST {path} HTTP/1.1\r\nHost: {host}\r\nOrigin: http://{host}\r\nConnection: close\r\n{more}\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        ),
    )
}

/// All files below a folder.
fn files(folder: &Path, found: &mut Vec<(PathBuf, Vec<u8>)>) {
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        let (path, kind) = (entry.path(), entry.file_type().unwrap());
        if kind.is_dir() {
            files(&path, found);
        } else if kind.is_file() {
            found.push((path.clone(), std::fs::read(path).unwrap_or_default()));
        }
    }
}

/// The forms in which a secret could stand somewhere.
fn forms(secret: &str) -> Vec<Vec<u8>> {
    let mut forms = vec![secret.as_bytes().to_vec()];
    if let Ok(bytes) = data_encoding::BASE64URL_NOPAD.decode(secret.as_bytes()) {
        forms.push(data_encoding::HEXLOWER.encode(&bytes).into_bytes());
        forms.push(data_encoding::BASE64.encode(&bytes).into_bytes());
        forms.push(bytes);
    }
    // Its larger half would do as well for who guesses the rest.
    forms.push(secret.as_bytes()[..secret.len() * 2 / 3].to_vec());
    forms
}

fn hunt(places: &[(PathBuf, Vec<u8>)], secrets: &[(&str, String)], keeps: &Path) {
    // As text with a character for each byte, in which searching is quick.
    let text = |bytes: &[u8]| bytes.iter().map(|byte| char::from(*byte)).collect::<String>();
    for (path, bytes) in places {
        let bytes = text(bytes);
        for (what, secret) in secrets {
            for form in forms(secret) {
                let found = bytes.contains(&text(&form));
                let may = path == keeps && *what == "credential";
                assert!(!found || may, "the {what} stands in {}", path.display());
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_lets_in_is_told_by_the_daemons() {
    // All that they can tell, debug and below.
    let level = "trace";
    let ground = tempfile::tempdir().unwrap();
    let ground = ground.path();
    let server = Told::start(ground, "server", &["--serve", "--listen", "127.0.0.1:0"], level);
    let client = Told::start(ground, "client", &[], level);
    let host = server.daemon.url()[5..].trim_end_matches('/').to_owned();

    let (used, link) = server.invite(Invite::default());
    client.join(&link, "bia").unwrap();
    client.join(&link, "bruno").unwrap_err();
    let keeps = client.home.join("state/credentials.json");
    let kept: Value = serde_json::from_slice(&std::fs::read(&keeps).unwrap()).unwrap();
    let credential = kept["joined"][0]["credential"].as_str().unwrap().to_owned();
    let (open, open_link) = server.invite(Invite::default());
    let (login, _) = server.invite(Invite { person: Some("bia".to_owned()), ..Invite::default() });

    // A browser comes in by a link of hers.
    let body = json!({"secret": login.secret, "device": "browser"});
    let answer = post(&host, "/api/login", "", &body);
    let cookie = answer.lines().find_map(|line| line.strip_prefix("set-cookie: "));
    let cookie = cookie.unwrap_or_else(|| panic!("{answer}")).split(';').next().unwrap();
    let (_, value) = cookie.split_once('=').unwrap();
    let me = format!(
        "GET /api/me HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nCookie: {cookie}\r\n\r\n"
    );
    assert!(http(&host, &me).starts_with("HTTP/1.1 200"));

    // And all the ways to say a secret at the wrong place.
    for request in [
        format!("GET /?token={FORGED} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"),
        format!(
            "GET /{FORGED} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nAuthorization: Bearer {FORGED}\r\n\r\n"
        ),
        format!(
            "GET /api/me HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nCookie: imgrepo={FORGED}\r\n\r\n"
        ),
        format!("GET / HTTP/1.1\r\nHost: {FORGED}\r\nReferer: http://x/{FORGED}\r\n\r\n"),
        format!("{FORGED} / HTTP/1.1\r\n\r\n"),
        me.replace(value, FORGED),
    ] {
        http(&host, &request);
    }
    for path in ["/api/login", "/api/join"] {
        post(&host, path, "", &json!({"secret": FORGED, "user": "eve", "device": "x"}));
        post(&host, path, "", &json!({"secret": [FORGED], "user": FORGED}));
    }
    let to = host.parse().unwrap();
    for (cmd, args) in [
        ("AUTH", json!({"user": "bia", "credential": FORGED})),
        ("AUTH", json!({"user": "bia", "credential": [FORGED]})),
        ("AUTH", json!({"credential": {"secret": FORGED}})),
        ("AUTH", json!({"user": "bia", "password": FORGED})),
        ("JOIN", json!({"secret": FORGED, "user": "eve", "device": "x"})),
        ("JOIN", json!({"secret": 7, "user": "eve", "device": "x", "more": FORGED})),
        ("AUTH", json!({"user": "bia", "credential": credential})),
    ] {
        let mut session = dial(to, Some("imgrepo.v2")).await.unwrap();
        let id = session.send(cmd, args).await;
        let reply: Value = support::Client::reply(&mut session, id).await;
        assert!(!reply.to_string().contains(FORGED), "{reply}");
    }
    let mut broken = dial(to, Some("imgrepo.v2")).await.unwrap();
    let cut = format!("{{\"id\":1,\"cmd\":\"AUTH\",\"args\":{{\"credential\":\"{FORGED}");
    broken.raw(tokio_tungstenite::tungstenite::Message::text(cut)).await;
    broken.complaint().await;
    // The invitation pasted where an address belongs, and one that leads nowhere.
    let pasted = [open_link.expose().to_owned(), format!("ws://{host}/#{}", open.secret.expose())];
    for url in pasted {
        let connect = Request::Connect { url, user: None };
        let told = client.call(&connect);
        let said = format!("{told:?}");
        assert!(!said.contains(open.secret.expose()), "{said}");
    }
    server.call(&Request::People(PeopleRequest::Audit(Audit::default()))).unwrap();

    let secrets = [
        ("used invitation", used.secret.expose().to_owned()),
        ("open invitation", open.secret.expose().to_owned()),
        ("login link", login.secret.expose().to_owned()),
        ("cookie", value.to_owned()),
        ("credential", credential),
        ("forged secret", FORGED.to_owned()),
    ];
    let mut places = [server.process(), client.process()].concat();
    files(ground, &mut places);
    for name in ["server.log", "client.log"] {
        let log = std::fs::read(ground.join(name)).unwrap();
        assert!(!log.is_empty(), "{name} tells something");
    }
    hunt(&places, &secrets, &keeps);
    for told in [&server, &client] {
        let limits = std::fs::read_to_string(format!("/proc/{}/limits", told.daemon.pid()));
        let limits = limits.unwrap();
        let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
        assert_eq!(core.split_whitespace().nth(4), Some("0"), "{core}");
    }
    // The one ends by a fault, the other in order: neither leaves anything.
    client.daemon.abort();
    assert!(server.daemon.stop().success());
    let mut places = Vec::new();
    files(ground, &mut places);
    let core = places.iter().find(|(path, _)| {
        path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("core"))
    });
    assert!(core.is_none(), "a dump of its memory");
    hunt(&places, &secrets, &keeps);
    println!("{} files hold no secret", places.len());
}
