//! The client's side with the real server and repository, also through a wire that breaks.

use std::net::SocketAddr;
use std::sync::Arc;

use imgrepo_proto::control::reply::SessionState;
use imgrepo_proto::session::command::{List, Target};
use imgrepo_proto::session::event::EventKind;
use imgrepo_proto::{PersonName, Seq};
use imgrepod::repository::{self, Making, Repository};
use imgrepod::server::{self, Server};
use imgrepod::session::Address;
use imgrepod::transfer::Transfers;
use tempfile::TempDir;
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::{Collected, daemon, hash};

pub(crate) struct Served {
    pub(crate) repository: Repository,
    pub(crate) server: Server,
    _data: TempDir,
}

pub(crate) async fn serve() -> Served {
    serve_with(server::Settings::default()).await
}

/// One that makes pictures.
pub(crate) async fn serve_making() -> Served {
    let making = Making {
        program: env!("CARGO_BIN_EXE_imgrepod").into(),
        threads: 1,
        budget_bytes: 1 << 20,
    };
    serve_as(server::Settings::default(), Some(making)).await
}

pub(crate) async fn serve_with(settings: server::Settings) -> Served {
    serve_as(settings, None).await
}

async fn serve_as(settings: server::Settings, making: Option<Making>) -> Served {
    let data = tempfile::tempdir().unwrap();
    let owner = PersonName::parse("olga").unwrap();
    let mut kept = repository::Settings::new(data.path().join("data"), owner);
    (kept.reserve_bytes, kept.making) = (0, making);
    let open = move || Repository::open(kept).unwrap();
    let repository = tokio::task::spawn_blocking(open).await.unwrap();
    let listen = SocketAddr::from(([127, 0, 0, 1], 0));
    let listening = server::Settings { listen, ..settings };
    let server = Server::start(listening, repository.clone()).await.unwrap();
    Served { repository, server, _data: data }
}

/// A picture of some size whose bytes differ by `seed`.
pub(crate) fn picture(seed: u8, rows: usize) -> Vec<u8> {
    let mut bytes = format!("P6\n1000 {rows}\n255\n").into_bytes();
    bytes.extend((0..3000 * rows).map(|at| (at * 7 + at / 251) as u8 ^ seed));
    bytes
}

/// A wire to the server: each connection breaks after so many bytes either way, the last never.
async fn wire(to: SocketAddr, breaks_after: Vec<usize>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let mut lengths = breaks_after.into_iter();
        loop {
            let (mut near, _) = listener.accept().await.unwrap();
            let mut far = TcpStream::connect(to).await.unwrap();
            let mut left = lengths.next().unwrap_or(usize::MAX);
            tokio::spawn(async move {
                let (mut up, mut down) = (vec![0; 16 * 1024], vec![0; 16 * 1024]);
                while left > 0 {
                    use tokio::io::AsyncReadExt as _;
                    let moved = tokio::select! {
                        read = near.read(&mut up) => {
                            let read = read.unwrap_or(0);
                            far.write_all(&up[..read.min(left)]).await.map(|()| read)
                        }
                        read = far.read(&mut down) => {
                            let read = read.unwrap_or(0);
                            near.write_all(&down[..read.min(left)]).await.map(|()| read)
                        }
                    };
                    match moved {
                        Ok(0) | Err(_) => return,
                        Ok(moved) => left = left.saturating_sub(moved),
                    }
                }
            });
        }
    });
    address
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_people_share_through_a_wire_that_breaks() {
    let served = serve().await;
    // Cut in the handshake, at AUTH, and in the middle of contents, up and down.
    let breaks = vec![100, 400, 500_000, 1_000_000, 700_000, 300, 900_000, 1_100_000];
    let broken = wire(served.server.address(), breaks).await;
    let (ana, bia) = (daemon(), daemon());
    bia.connect_to(served.server.address());
    bia.state(SessionState::Connected).await;
    let mut events = bia.session.follow(None);
    ana.connect_to(broken);
    ana.state(SessionState::Connected).await;

    let content = picture(0, 1000);
    let reply = ana.upload(&ana.file(&content)).await.unwrap().unwrap();
    assert_eq!((reply.duplicate, reply.image.hash), (false, Some(hash(&content))));
    let event = events.next().await.unwrap();
    assert_eq!((event.event, event.seq), (EventKind::NewUpload, Some(Seq(1))));
    assert_eq!(event.image.as_ref(), Some(&reply.image));

    let sink = Collected::default();
    let target = Target::id(reply.image.id);
    let record =
        Transfers::new(ana.session.clone()).download(target, 0, sink.clone()).await.unwrap();
    assert_eq!(record, reply.image);
    assert!(sink.0.lock().unwrap().1 == content);
    assert!(ana.upload(&ana.file(&content)).await.unwrap().unwrap().duplicate);

    for one in [ana, bia] {
        one.session.end().await;
        one.keeper.await.unwrap();
    }
    served.server.stop().await;
    served.repository.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_devices_of_one_person_send_the_same_content_at_once() {
    let served = serve().await;
    let (desk, phone) = (daemon(), daemon());
    let content = picture(0, 8000);
    for device in [&desk, &phone] {
        device.connect_to(served.server.address());
        device.state(SessionState::Connected).await;
    }
    // Each takes the other's part over when it comes; neither gives up for that.
    let uploads = [&desk, &phone].map(|device| device.upload(&device.file(&content)));
    let mut images = Vec::new();
    for upload in uploads {
        images.push(upload.await.unwrap().unwrap().image);
    }
    assert_eq!(images[0], images[1]);
    for one in [desk, phone] {
        one.session.end().await;
        one.keeper.await.unwrap();
    }
    served.server.stop().await;
    served.repository.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_servers_own_session_carries_many_transfers_at_once() {
    let served = serve().await;
    let owner = daemon();
    let door = served.server.local();
    let address = Address::Local(Arc::new(move || door.open()));
    owner.session.connect(address, PersonName::parse("olga").unwrap());
    owner.state(SessionState::Connected).await;
    assert_eq!(owner.session.status().borrow().role.as_deref(), Some("owner"));

    // More than the server takes at once, of sizes around a message, a chunk and a window.
    let rows = [1, 21, 22, 23, 87, 88, 349, 350, 400];
    let mut uploads = JoinSet::new();
    for seed in 0..80 {
        let content = picture(seed, rows[usize::from(seed) % rows.len()]);
        let path = owner.folder.path().join(format!("{seed}.ppm"));
        std::fs::write(&path, &content).unwrap();
        let upload = owner.upload(&path);
        uploads.spawn(async move { (content, upload.await.unwrap().unwrap().image) });
    }
    let stored = uploads.join_all().await;
    let mut downloads = JoinSet::new();
    for (content, image) in stored {
        let session = owner.session.clone();
        downloads.spawn(async move {
            let sink = Collected::default();
            Transfers::new(session.clone())
                .download(Target::id(image.id), 0, sink.clone())
                .await
                .unwrap();
            assert!(sink.0.lock().unwrap().1 == content, "{image:?}");
        });
    }
    downloads.join_all().await;
    let peer = owner.session.peer().await.unwrap();
    assert_eq!(peer.list(List::default()).await.unwrap().images.len(), 80);
    let have = peer.have(&[hash(b"nothing")]).await.unwrap();
    assert!(have.have.values().all(Vec::is_empty));

    owner.session.end().await;
    owner.keeper.await.unwrap();
    served.server.stop().await;
    served.repository.close().await;
}
