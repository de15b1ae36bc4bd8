//! Checks of a repository that serves: no false alarm, and an end where nobody listens.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use imgrepo_proto::ErrorCode;
use imgrepo_proto::control::maintenance::Maintenance;
use imgrepod::repository::Told;
use imgrepod::repository::catalog::Again;

use crate::fsck::{LOOK, READ, REPAIR, check};
use crate::support::*;

/// Rounds of the load, where `FSCK_ROUNDS` does not say.
const ROUNDS: u64 = 12;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_false_alarm_while_everything_goes_on() {
    let rounds = std::env::var("FSCK_ROUNDS").ok().and_then(|text| text.parse().ok());
    let rounds: u64 = rounds.unwrap_or(ROUNDS);
    let data = tempfile::tempdir().unwrap();
    let repository = open(data.path());
    let is_over = Arc::new(AtomicBool::new(false));
    let mut people = Vec::new();
    for person in 0..3 {
        let (repository, is_over) = (repository.clone(), is_over.clone());
        people.push(tokio::spawn(async move {
            let actor = guest(&repository, &format!("person {person}")).await;
            let mut done = 0;
            while !is_over.load(Ordering::Relaxed) {
                // Now and then what another has too, or had a moment ago.
                let seed = if done % 3 == 0 { done } else { person * 1_000_000 + done };
                let size = if done % 7 == 0 { 300_000 } else { 2000 };
                let content = image(seed, size);
                match done % 5 {
                    // One that is refused half-way leaves nothing.
                    4 => {
                        let lie = announce("lie", &content);
                        let wrong = image(seed + 1, size);
                        let lied = upload_as(&repository, &actor, lie, Again::Reuse, &wrong).await;
                        let _ = lied;
                    }
                    _ => {
                        let stored = upload(&repository, &actor, "a", &content).await.unwrap();
                        if done % 2 == 0 {
                            delete(&repository, &actor, stored.image.id.0).await.unwrap();
                        }
                    }
                }
                if done % 4 == 3 {
                    purge(&repository, &actor).await.unwrap();
                }
                done += 1;
            }
            done
        }));
    }
    for round in 0..rounds {
        let wanted = [LOOK, READ, REPAIR][(round % 3) as usize];
        let (checked, faults) = check(&repository, wanted).await;
        assert_eq!(faults, [], "round {round}, {checked:?}");
    }
    is_over.store(true, Ordering::Relaxed);
    let mut done = 0;
    for person in people {
        done += person.await.unwrap();
    }
    eprintln!("{rounds} checks beside {done} uploads: no false alarm");
    assert!(done > 0);
    assert_eq!(check(&repository, READ).await.1, []);
    repository.close().await;
    assert_eq!(check(&open(data.path()), READ).await.1, []);
}

#[tokio::test]
async fn a_check_that_nobody_hears_ends() {
    let data = tempfile::tempdir().unwrap();
    let repository = open(data.path());
    let (told, items) = Told::channel();
    drop(items);
    let refusal = repository.maintain(Maintenance::Check(READ), told).await.unwrap_err();
    assert_eq!(refusal.code, ErrorCode::Cancelled);
}
