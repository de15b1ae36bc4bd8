//! The server's process is killed (SIGKILL) at random points while eight people upload, four in each
//! dialect. `IMGREPO_KILLS` says how often.

use std::sync::Arc;

use crate::crew::{Crew, Moment, Outage};
use crate::picture::{Random, count};
use crate::process::Daemon;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_server_loses_nothing_that_it_acknowledged() {
    let mut random = Random::from_environment();
    let kills = count("IMGREPO_KILLS", 10);
    let directory = tempfile::tempdir().expect("a temporary directory");
    let home = directory.path().join("home");
    let data = home.join("data");
    // Most are larger than a window, so that most are cut in their middle.
    let mut crew = Crew::new(&mut random, "", (4, 4), (100_000, 4 << 20), Arc::default());
    let mut server = Daemon::serve(&home).expect("the first start");
    for kill in 1..=kills {
        let url = server.url();
        // A SUCCESS comes about every eighth message.
        let moment = Moment::Messages(random.between(1, 60));
        let pause = std::time::Duration::from_micros(random.between(0, 3000));
        let worked = crew
            .work(&url, Outage::Process, moment, || {
                // Not to wait for anything: so that the blow also falls between two messages.
                std::thread::sleep(pause);
                server.kill();
            })
            .await;
        worked.unwrap_or_else(|what| panic!("before kill {kill}: {what}"));
        server = Daemon::serve(&home).unwrap_or_else(|what| panic!("after kill {kill}: {what}"));
        let checked = crew.ledger.check(&server.url(), &data, crew.partials()).await;
        checked.unwrap_or_else(|what| panic!("after kill {kill}: {what}\n{}", server.last_words()));
    }
    println!(
        "{kills} kills: {} uploads were acknowledged and are there, {} were resumed",
        crew.ledger.len(),
        crew.resumed()
    );
    assert!(crew.ledger.len() > 0 && (crew.resumed() > 0 || kills < 5), "the test proves nothing");
    crew.ledger.compare_again();
    let checked = crew.ledger.check(&server.url(), &data, crew.partials()).await;
    checked.unwrap_or_else(|what| panic!("at the end: {what}"));
    assert!(server.stop().success(), "it stops in order");
}
