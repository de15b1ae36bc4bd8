//! Lines that say nothing any more, with the real server and a clock that the test sets: minutes of
//! silence take none.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use imgrepo_proto::control::reply::{SessionState, Size};
use imgrepo_proto::session::command::{Command, Target};
use imgrepo_proto::{PersonName, Refusal, Seq};
use imgrepod::session::Address;
use imgrepod::transfer::{AsyncSink, Transfers};
use tokio::io::{DuplexStream, copy_bidirectional, duplex};
use tokio::sync::watch;
use tokio::time::{Instant, pause, sleep, timeout};

use crate::scripted::Server;
use crate::whole::{picture, serve};
use crate::{Collected, Daemon, daemon, hash};

/// A line to a server in this process. While it is silent nothing passes, and what was opened until
/// then stays silent for ever.
fn line(
    open: impl Fn() -> DuplexStream + Send + Sync + 'static,
    silent: watch::Sender<bool>,
) -> Address {
    Address::Local(Arc::new(move || {
        let (near, mut far) = duplex(64 * 1024);
        let mut silenced = silent.subscribe();
        let server = (!*silenced.borrow()).then(&open);
        tokio::spawn(async move {
            let Some(mut server) = server else { return std::future::pending().await };
            tokio::select! {
                _ = copy_bidirectional(&mut far, &mut server) => return,
                _ = silenced.wait_for(|silent| *silent) => {}
            }
            std::future::pending::<()>().await;
        });
        near
    }))
}

/// Within so many seconds of the test's clock.
async fn state_within(daemon: &Daemon, seconds: u64, states: &[SessionState]) {
    let mut status = daemon.session.status();
    let reached = status.wait_for(|status| states.contains(&status.state));
    let in_time = timeout(Duration::from_secs(seconds), reached).await;
    assert!(in_time.is_ok(), "{states:?} was not reached within {seconds} s");
}

#[tokio::test]
async fn a_silent_line_is_noticed_at_both_ends_and_one_that_is_back_is_found() {
    let served = serve().await;
    let daemon = daemon();
    let silent = watch::Sender::new(false);
    let door = served.server.local();
    let address = line(move || door.open(), silent.clone());
    daemon.session.connect(address, PersonName::parse("olga").unwrap());
    daemon.state(SessionState::Connected).await;
    assert_eq!(served.server.sessions(), 1);
    pause();
    // For as long as a whole attempt, and so that it ends at any point of one.
    for outage_seconds in (60..120).chain([3600]) {
        let start = Instant::now();
        silent.send_replace(true);
        state_within(&daemon, 60, &[SessionState::Waiting]).await;
        while served.server.sessions() > 0 {
            assert!(start.elapsed() <= Duration::from_secs(60), "the server did not notice");
            sleep(Duration::from_millis(100)).await;
        }
        let outage = Duration::from_secs(outage_seconds);
        sleep(outage.saturating_sub(start.elapsed())).await;
        silent.send_replace(false);
        state_within(&daemon, 5, &[SessionState::Connected]).await;
        assert_eq!(served.server.sessions(), 1, "attempts that were not needed are gone");
    }
    daemon.session.end().await;
    daemon.keeper.await.unwrap();
    served.server.stop().await;
    served.repository.close().await;
}

/// Takes a piece, and the next one an hour later.
struct Slow(Collected);

impl AsyncSink for Slow {
    async fn size(&mut self, size: Size) -> Result<(), Refusal> {
        self.0.size(size).await
    }

    async fn write(&mut self, bytes: Bytes) -> Result<(), Refusal> {
        let is_first = self.0.0.lock().unwrap().1.is_empty();
        self.0.write(bytes).await?;
        if is_first {
            sleep(Duration::from_secs(3600)).await;
        }
        Ok(())
    }
}

#[tokio::test]
async fn a_program_that_stops_reading_a_download_costs_nobody_the_session() {
    let served = serve().await;
    let daemon = daemon();
    let door = served.server.local();
    let address = line(move || door.open(), watch::Sender::new(false));
    daemon.session.connect(address, PersonName::parse("olga").unwrap());
    daemon.state(SessionState::Connected).await;
    let content = picture(0, 1500);
    let image = daemon.upload(&daemon.file(&content)).await.unwrap().unwrap().image;
    pause();
    let up_since = daemon.session.status().borrow().since;
    let sink = Collected::default();
    let target = Target::id(image.id);
    let transfers = Transfers::new(daemon.session.clone());
    let record = transfers.download(target, 0, Slow(sink.clone())).await.unwrap();
    assert_eq!(record.hash, Some(hash(&content)));
    assert!(sink.0.lock().unwrap().1 == content, "it went on where it was");
    assert_eq!(daemon.session.status().borrow().since, up_since, "it was never cut");
    daemon.session.end().await;
    daemon.keeper.await.unwrap();
    served.server.stop().await;
    served.repository.close().await;
}

#[tokio::test]
async fn a_server_that_waited_too_long_for_auth_is_dialed_again() {
    let server = Server::start().await;
    let daemon = daemon();
    daemon.connect(&server);
    let mut conn = server.accept_v2().await;
    assert!(matches!(conn.request().await.command, Command::Auth(_)));
    conn.outbox.close(1008, "AUTH did not come in time");
    conn.end().await;
    drop(conn);
    let mut conn = server.accept_v2().await;
    conn.greet(Seq(0)).await;
    daemon.state(SessionState::Connected).await;
}
