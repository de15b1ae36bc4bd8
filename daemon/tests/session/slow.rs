//! Transfers that are limited to less than a message each second, with the real server.

use std::time::Duration;

use imgrepo_proto::control::queue::Rates;
use imgrepo_proto::control::reply::SessionState;
use imgrepo_proto::session::command::{List, Target};
use imgrepod::server;
use imgrepod::transfer::Transfers;

use crate::whole::{picture, serve_with};
use crate::{Collected, daemon};

/// How long this server waits for an acknowledgement.
const PATIENCE: Duration = Duration::from_millis(300);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn downloads_slower_than_the_servers_patience_end_no_session() {
    let mut settings = server::Settings::default();
    settings.timeouts.download_stall = PATIENCE;
    settings.limits.window = 64 * 1024;
    let served = serve_with(settings).await;
    let ana = daemon();
    ana.connect_to(served.server.address());
    ana.state(SessionState::Connected).await;
    let content = picture(0, 45);
    let image = ana.upload(&ana.file(&content)).await.unwrap().unwrap().image;

    let since = ana.session.status().borrow().since;
    let transfers = Transfers::new(ana.session.clone());
    // A message of 64 KiB takes four times the server's patience.
    transfers.limit(Rates { up: None, down: Some(50_000) });
    let sinks = [Collected::default(), Collected::default()];
    let fetching = sinks.clone().map(|sink| {
        let transfers = transfers.clone();
        tokio::spawn(async move { transfers.download(Target::id(image.id), 0, sink).await })
    });
    let peer = ana.session.peer().await.unwrap();
    while !fetching.iter().all(|fetching| fetching.is_finished()) {
        assert_eq!(peer.list(List::default()).await.unwrap().images.len(), 1);
    }
    for (fetching, sink) in fetching.into_iter().zip(sinks) {
        fetching.await.unwrap().unwrap();
        assert!(sink.0.lock().unwrap().1 == content);
    }
    assert_eq!(ana.session.status().borrow().since, since, "the session was cut");

    ana.session.end().await;
    ana.keeper.await.unwrap();
    served.server.stop().await;
    served.repository.close().await;
}
