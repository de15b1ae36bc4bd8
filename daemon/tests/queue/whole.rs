//! With the real server: what is queued arrives, once, in its own repository.

use imgrepo_proto::ErrorCode;
use imgrepo_proto::control::queue::UploadState::{Cancelled, Queued, Stored};
use imgrepo_proto::control::queue::{Rates, Which};
use imgrepo_proto::control::reply::{Phase, SessionState};
use imgrepod::state::{LARGE_ABOVE_BYTES, Lane};

use crate::{Client, Served, bounded, picture};

#[tokio::test(flavor = "multi_thread")]
async fn what_is_queued_offline_is_sent_when_there_is_a_session() {
    let home = tempfile::tempdir().unwrap();
    let served = Served::start().await;
    let client = Client::start(home.path()).await;
    let path = client.file("first.png", &picture(1, 100));
    let refused = client.queue.enqueue(path, "first.png".to_owned(), false).await.unwrap_err();
    assert_eq!(refused.code, ErrorCode::NotConnected);
    assert_eq!(refused.hint.as_deref(), Some("imgctl connect HOST"));

    client.meet(served.address()).await;
    let mut ids = Vec::new();
    for seed in 0..5 {
        ids.push(client.enqueue(&format!("{seed}.png"), &picture(seed, 2000)).await);
    }
    ids.push(client.enqueue("large.png", &picture(9, LARGE_ABOVE_BYTES as usize)).await);
    ids.push(client.enqueue("again.png", &picture(0, 2000)).await);
    let streamed = picture(20, 5000);
    let mut spooling = client.queue.begin_spooling().await.unwrap();
    spooling.write(&streamed[..1000]).unwrap();
    spooling.write(&streamed[1000..]).unwrap();
    let name = "streamed.png".to_owned();
    ids.push(client.queue.enqueue_spooled(spooling, name, false).await.unwrap());
    drop(client.queue.begin_spooling().await.unwrap());
    let status = client.queue.status().await.unwrap();
    assert_eq!((status.counts.queued, status.elsewhere), (8, 0));
    assert!(status.bytes_left > LARGE_ABOVE_BYTES);

    client.connect(served.address());
    let status = client.done().await;
    assert_eq!((status.counts.stored, status.counts.duplicate, status.bytes_left), (7, 1, 0));
    let names = served.names().await;
    assert_eq!(
        names.iter().filter(|name| name.parse::<u32>().is_err()).count(),
        7,
        "one image for each content: {names:?}"
    );
    let stored = client.upload(ids[7]).await;
    assert_eq!((stored.state, stored.path), (Stored, None));
    assert!(stored.hash.is_some() && stored.image.is_some() && stored.attempts == 1);
    assert!(stored.seen_at <= stored.queued_at.unwrap());
    assert!(stored.hashed_at.unwrap() <= stored.ended_at.unwrap());
    assert!(stored.sent_at.is_some());
    let spool = home.path().join("queue");
    // The spooled content is removed after its end is written down.
    bounded(async {
        while std::fs::read_dir(&spool).unwrap().count() > 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    client.stop().await;
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_ends_the_client_or_the_server_every_file_arrives_once() {
    const FILES: u32 = 60;
    let home = tempfile::tempdir().unwrap();
    let mut served = Served::start().await;
    let mut client = Client::start(home.path()).await;
    client.meet(served.address()).await;
    for seed in 0..FILES {
        let bytes = if seed % 10 == 0 { 3_000_000 } else { 30_000 };
        client.enqueue(&format!("{seed:02}.png"), &picture(seed, bytes)).await;
    }
    for round in 1..=5u64 {
        client.connect(served.address());
        let receipts = round * 9;
        client.settled(|status| status.counts.stored + status.counts.duplicate >= receipts).await;
        match round {
            1 => {
                client.stop().await;
                client = Client::start(home.path()).await;
            }
            2 | 4 => {
                let (data, address) = served.stop().await;
                served = Served::on(data, address).await;
            }
            3 => {
                // As a process that is killed: nobody writes down that anything was stopped.
                client.runner.abort();
                let _ = (&mut client.runner).await;
                client.state.close().await;
                client.session.end().await;
                client = Client::start(home.path()).await;
            }
            _ => client.session.disconnect().await,
        }
    }
    client.connect(served.address());
    let status = client.done().await;
    assert_eq!(status.counts.faults(), 0);
    assert_eq!(status.counts.stored + status.counts.duplicate, u64::from(FILES));
    let names: Vec<_> = (0..FILES).map(|seed| format!("{seed:02}.png")).collect();
    assert_eq!(served.names().await, names);
    client.stop().await;
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_repository_or_person_gets_nothing_of_it() {
    let home = tempfile::tempdir().unwrap();
    let (first, second) = (Served::start().await, Served::start().await);
    let client = Client::start(home.path()).await;
    client.meet(first.address()).await;
    for seed in 0..3 {
        client.enqueue(&format!("{seed}.png"), &picture(seed, 2000)).await;
    }
    // From the first moment it is the other's queue.
    client.connect(second.address());
    let mut state = client.session.status();
    state.wait_for(|now| now.state == SessionState::Connected).await.unwrap();
    let status = client.queue.status().await.unwrap();
    assert_eq!((status.elsewhere, status.counts.open()), (3, 0));
    assert_eq!(client.queue.cancel(Which::All).await, Ok(0));
    client.enqueue("theirs.png", &picture(7, 2000)).await;
    client.settled(|status| status.counts.stored == 1).await;
    assert_eq!(second.names().await, ["theirs.png"]);
    assert!(first.names().await.is_empty());
    // Another person of the same repository.
    client.connect_as(first.address(), "bia");
    client.settled(|status| status.elsewhere == 3 && status.counts.stored == 0).await;
    client.enqueue("bia.png", &picture(8, 2000)).await;
    client.settled(|status| status.counts.stored == 1).await;
    assert_eq!(first.names().await, ["bia.png"]);
    client.connect(first.address());
    client.settled(|status| status.counts.stored == 3).await;
    assert_eq!(first.names().await, ["0.png", "1.png", "2.png", "bia.png"]);
    client.stop().await;
    first.stop().await;
    second.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_pauses_cancels_and_retries() {
    let home = tempfile::tempdir().unwrap();
    let served = Served::start().await;
    let mut client = Client::start(home.path()).await;
    client.meet(served.address()).await;
    client.queue.pause(true).await.unwrap();
    let first = client.enqueue("a.png", &picture(1, 2000)).await;
    let second = client.enqueue("b.png", &picture(2, 2000)).await;
    // Across restarts.
    client.stop().await;
    client = Client::start(home.path()).await;
    client.connect(served.address());
    let mut membership = client.queue.membership();
    bounded(membership.wait_for(Option::is_some)).await.unwrap();
    let status = client.queue.status().await.unwrap();
    assert_eq!((status.paused, status.counts.queued), (true, 2));
    assert_eq!(client.queue.cancel(Which::These(vec![first])).await, Ok(1));
    client.queue.pause(false).await.unwrap();
    client.until(second, Stored).await;
    assert_eq!(client.upload(first).await.state, Cancelled);
    assert_eq!(served.names().await, ["b.png"]);
    assert_eq!(client.queue.retry(Which::All).await, Ok(0));
    assert_eq!(client.queue.retry(Which::These(vec![first])).await, Ok(1));
    client.until(first, Stored).await;
    assert_eq!(served.names().await, ["a.png", "b.png"]);
    client.stop().await;
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_holds_what_is_under_way_and_lets_it_go() {
    let home = tempfile::tempdir().unwrap();
    let served = Served::start().await;
    let client = Client::start(home.path()).await;
    client.meet(served.address()).await;
    client.queue.set_rates(Rates { up: Some(500), down: None }).await.unwrap();
    let id = client.enqueue("a.png", &picture(1, 60_000)).await;
    client.connect(served.address());
    // The first piece of a KiB is owed for two seconds, and so on: two minutes in all.
    let half = bounded(async {
        loop {
            let active = client.transfers.active();
            match active.first() {
                Some(transfer) if transfer.phase == Phase::Sending && transfer.done > 0 => {
                    assert_eq!(transfer.queued, Some(id));
                    return transfer.done;
                }
                _ => tokio::task::yield_now().await,
            }
        }
    });
    assert!(half.await <= 30_000);
    let sending = client.upload(id).await;
    assert_eq!(sending.state.word(), "sending");
    assert!(sending.done.unwrap() <= 30_000);
    // Paused it is stopped, and what the server has stays there.
    client.queue.pause(true).await.unwrap();
    client.until(id, Queued).await;
    client.queue.pause(false).await.unwrap();
    client.queue.set_rates(Rates::default()).await.unwrap();
    client.until(id, Stored).await;
    assert_eq!(client.transfers.count(), 0);
    client.stop().await;
    let again = Client::start(home.path()).await;
    assert_eq!(again.transfers.rates(), Rates::default());
    let turns = again.state.take(
        again.state.membership_at(served_url(&served), ana()).await.unwrap().unwrap(),
        Lane::Small,
        9,
        jiff::Timestamp::now(),
    );
    assert!(turns.await.unwrap().turns.is_empty());
    again.stop().await;
    served.stop().await;
}

fn served_url(served: &Served) -> String {
    imgrepod::session::ServerUrl::parse(&served.address().to_string()).unwrap().to_string()
}

fn ana() -> imgrepo_proto::PersonName {
    imgrepo_proto::PersonName::parse("ana").unwrap()
}
