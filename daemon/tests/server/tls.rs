//! Encrypted and plain on one port, from here and from elsewhere, and through a proxy.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use imgrepo_proto::invitation::Trust;
use imgrepod::config::Guests;
use imgrepod::server::{Settings, addresses};
use imgrepod::tls::{self, ClientStream, ConnectError, Identity};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::Error;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;

use crate::pictures::picture;
use crate::support::{Client, Stage, dial, upgrade};

/// A server that encrypts; also from where it is reached.
struct Scene {
    stage: Stage,
    identity: Identity,
    _folder: tempfile::TempDir,
}

impl Scene {
    async fn new(change: impl FnOnce(&mut Settings)) -> Scene {
        let folder = tempfile::tempdir().unwrap();
        let identity = Identity::own(folder.path(), None).unwrap();
        let stage = Stage::with(|settings| {
            settings.identity = Some(identity.clone());
            change(settings);
        });
        Scene { stage: stage.await, identity, _folder: folder }
    }

    /// One that listens everywhere, and its address of a network; None on a system without any.
    #[allow(clippy::print_stdout)] // What was not tested is said.
    async fn wide(change: impl FnOnce(&mut Settings)) -> Option<(Scene, SocketAddr)> {
        let scene = Scene::new(|settings| {
            // Both families on one socket: addresses of IPv4 come as those of IPv6.
            settings.listen = "[::]:0".parse().unwrap();
            change(settings);
        });
        let scene = scene.await;
        let place = addresses(scene.stage.server.address(), None).remove(0);
        let ip: IpAddr = place.host.parse().unwrap();
        if ip.is_loopback() {
            println!("*** NOT TESTED HERE: this system has no address but the loopback's");
            return None;
        }
        Some((scene, (ip, place.port).into()))
    }

    async fn encrypted(&self, to: SocketAddr) -> Result<ClientStream<TcpStream>, ConnectError> {
        let stream = TcpStream::connect(to).await.unwrap();
        tls::connect(stream, &to.ip().to_string(), &self.identity.trust()).await
    }

    async fn session(
        &self,
        to: SocketAddr,
        headers: &[(&'static str, &str)],
    ) -> Result<Client<ClientStream<TcpStream>>, Error> {
        let mut request = format!("wss://{to}/").into_client_request()?;
        for (name, value) in [("sec-websocket-protocol", "imgrepo.v2")].iter().chain(headers) {
            request.headers_mut().append(*name, value.parse().unwrap());
        }
        upgrade(request, self.encrypted(to).await.unwrap()).await
    }
}

/// What HTTP answered a session that was refused.
fn answer<T>(refused: Result<T, Error>) -> (u16, String) {
    match refused {
        Err(Error::Http(response)) => {
            let text = response.body().clone().unwrap_or_default();
            (response.status().as_u16(), String::from_utf8(text).unwrap())
        }
        Err(error) => panic!("{error}"),
        Ok(_) => panic!("it was let in"),
    }
}

#[tokio::test]
async fn one_port_speaks_both() {
    let scene = Scene::new(|settings| settings.guests = Guests::Upload).await;
    let at = scene.stage.server.address();
    let content = picture(700_000, 7);
    let mut ana = scene.session(at, &[]).await.unwrap();
    ana.ok("AUTH", serde_json::json!({"user": "ana"})).await;
    assert_eq!(ana.upload("a.png", &content).await["status"], "SUCCESS");
    let mut bruno = scene.stage.guest("bruno").await;
    let (_, same, _) = bruno.download(serde_json::json!({"image": 1})).await;
    assert!(same == content, "what came in encrypted goes out plain");
    let (_, same, _) = ana.download(serde_json::json!({"image": 1})).await;
    assert!(same == content, "and the other way round");
    // A page, by a client that speaks of HTTP/2 as well.
    let mut page = scene.encrypted(at).await.unwrap();
    page.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        .await
        .unwrap();
    let mut text = String::new();
    page.read_to_string(&mut text).await.unwrap();
    assert!(text.starts_with("HTTP/1.1 200") && text.contains("\"ok\""), "{text}");
}

#[tokio::test]
async fn the_wrong_server_gets_nothing() {
    let scene = Scene::new(|_| {}).await;
    let stream = TcpStream::connect(scene.stage.server.address()).await.unwrap();
    let error = tls::connect(stream, "localhost", &Trust::Pin([7; 32])).await.unwrap_err();
    assert!(matches!(error, ConnectError::Pin { .. }), "{error:?}");
    scene.stage.sessions(0).await;
}

#[tokio::test]
async fn a_server_that_cannot_encrypt_ends_it() {
    let stage = Stage::new().await;
    let stream = TcpStream::connect(stage.server.address()).await.unwrap();
    let error = tls::connect(stream, "localhost", &Trust::Pin([7; 32])).await.unwrap_err();
    assert!(matches!(error, ConnectError::Io(_)), "{error:?}");
}

#[tokio::test]
async fn plaintext_from_elsewhere_is_told_how_to_get_in() {
    let closed = |settings: &mut Settings| settings.guests = Guests::No;
    let Some((scene, at)) = Scene::wide(closed).await else { return };
    for subprotocol in [Some("imgrepo.v2"), None] {
        let (status, text) = answer(dial(at, subprotocol).await);
        assert_eq!(status, 426);
        let (why, advice) = text.split_once('\n').unwrap();
        assert!(advice.contains("imgctl join imgrepo://"), "{text}");
        assert!(!why.contains("imgctl"), "our programs show this beside advice of theirs: {why}");
    }
    for path in ["/", "/healthz", "/nothing"] {
        let mut page = TcpStream::connect(at).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: {at}\r\n\r\n");
        page.write_all(request.as_bytes()).await.unwrap();
        let mut text = String::new();
        page.read_to_string(&mut text).await.unwrap();
        assert!(text.starts_with("HTTP/1.1 426"), "{text}");
    }
    // From the loopback it is served, and encrypted from everywhere.
    let here = SocketAddr::from(([127, 0, 0, 1], at.port()));
    let mut client = dial(here, Some("imgrepo.v2")).await.unwrap();
    assert_eq!(client.refused("AUTH", serde_json::json!({"user": "ana"})).await, "denied");
    for at in [at, here] {
        let mut client = scene.session(at, &[]).await.unwrap();
        let code = client.refused("AUTH", serde_json::json!({"user": "ana"})).await;
        assert_eq!(code, "denied", "by AUTH, not by the way");
    }
}

#[tokio::test]
async fn plaintext_from_elsewhere_where_guests_may() {
    let open = |settings: &mut Settings| {
        settings.guests = Guests::Upload;
        settings.plaintext_guests = true;
    };
    let Some((_scene, at)) = Scene::wide(open).await else { return };
    let mut client = dial(at, Some("imgrepo.v2")).await.unwrap();
    client.ok("AUTH", serde_json::json!({"user": "ana"})).await;
    assert!(dial(at, None).await.is_ok());
}

#[tokio::test]
async fn behind_a_proxy_the_client_counts() {
    let scene = Scene::new(|settings| {
        settings.guests = Guests::Upload;
        settings.trusted_proxies = vec!["127.0.0.1/32".parse().unwrap()];
    });
    let scene = scene.await;
    let at = scene.stage.server.address();
    let by = async |headers: &[(&'static str, &str)]| {
        let mut request = format!("ws://{at}/").into_client_request().unwrap();
        for (name, value) in headers {
            request.headers_mut().append(*name, value.parse().unwrap());
        }
        upgrade(request, TcpStream::connect(at).await.unwrap()).await
    };
    let client = ("x-forwarded-for", "6.6.6.6, 192.0.2.7");
    by(&[client, ("x-forwarded-proto", "https"), ("via", "1.1 proxy")]).await.unwrap();
    let (status, text) = answer(by(&[client, ("x-forwarded-proto", "http")]).await);
    assert_eq!((status, text.contains("https://")), (426, true), "{text}");
    for headers in [&[][..], &[client], &[("x-forwarded-proto", "https")]] {
        let (status, text) = answer(by(headers).await);
        assert_eq!((status, text.contains("X-Forwarded-")), (403, true), "{text}");
    }
    let (status, _) = answer(scene.session(at, &[]).await);
    assert_eq!(status, 403, "encrypted by the proxy itself, it still has to say whose it is");
    scene.session(at, &[client, ("x-forwarded-proto", "https")]).await.unwrap();
}

/// Sends these bytes and nothing more; how long the server waited for the rest.
async fn waits(scene: &Scene, bytes: &[u8]) -> Duration {
    let mut stream = TcpStream::connect(scene.stage.server.address()).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    let began = Instant::now();
    let mut rest = Vec::new();
    // An alert may come, and a reset where not all was read.
    let _ = stream.read_to_end(&mut rest).await;
    began.elapsed()
}

#[tokio::test(start_paused = true)]
async fn half_a_handshake_is_cut_after_its_five_seconds() {
    let scene = Scene::new(|_| {}).await;
    let hello = [0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3];
    for bytes in [&[][..], &hello[..1], &hello, b"GET / HT"] {
        let waited = waits(&scene, bytes).await;
        assert!((5..6).contains(&waited.as_secs()), "{bytes:?}: {waited:?}");
    }
    // What the handshake took is not given to the request once more.
    let at = scene.stage.server.address();
    let stream = TcpStream::connect(at).await.unwrap();
    // The clock goes on when nobody has anything to do: the server waits by then.
    tokio::time::sleep(Duration::from_secs(3)).await;
    let mut stream = tls::connect(stream, "localhost", &scene.identity.trust()).await.unwrap();
    let began = Instant::now();
    let _ = stream.read_to_end(&mut Vec::new()).await;
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
}

#[tokio::test]
async fn garbage_that_begins_like_tls_harms_nobody() {
    let scene = Scene::new(|settings| settings.guests = Guests::Upload).await;
    for seed in 0..64_u8 {
        let mut garbage: Vec<u8> =
            (0..1024_u32).map(|at| (at as u8).wrapping_mul(seed).wrapping_add(seed)).collect();
        garbage[0] = tls::FIRST_BYTE;
        waits(&scene, &garbage).await;
    }
    let mut client = scene.session(scene.stage.server.address(), &[]).await.unwrap();
    client.ok("AUTH", serde_json::json!({"user": "ana"})).await;
}
