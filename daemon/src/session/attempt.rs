//! Reaching a server: dial and greet, and while that hangs once more beside it.
//!
//! The keeper calls it for each attempt. It remembers nothing and never waits between attempts.

use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use imgrepo_proto::invitation::HostPort;
use imgrepo_proto::session::command::{Auth, Program};
use imgrepo_proto::session::reply::AuthReply;
use imgrepo_proto::{PersonName, Seq};
use tokio::time::{Instant, sleep};

use crate::link::{Inbox, Outbox};

use super::dial::{self, Dialed};
use super::machine::Failure;
use super::{Address, Dialect, greet};

/// How long an attempt is the only one. One that hangs may have begun while the network was gone,
/// and then what it waits for is lost; or the line is slow, and then it needs its time. So it goes on
/// and another is made beside it: a network that is back is found in less than 5 s.
const ALONE: Duration = Duration::from_secs(3);

/// Attempts under way at once, at most: by then the first is about to be out of time.
const MOST: usize = 4;

/// Why the server was not reached, and how long ago the last attempt began.
pub(super) type Failed = (Failure, Duration);

/// A server that knows us.
pub(super) struct Reached {
    pub(super) outbox: Outbox,
    pub(super) inbox: Inbox,
    /// What it answered, in v2.
    pub(super) reply: Option<AuthReply>,
    /// At which of its addresses, by TLS.
    pub(super) place: Option<HostPort>,
}

/// Opens a link, first where it `worked` last, and says who we are. Each connection, and then each
/// reply, has so much time.
pub(super) async fn reach(
    address: &Address,
    worked: Option<&HostPort>,
    user: &PersonName,
    program: &Program,
    since: Option<Seq>,
    time_out: Duration,
) -> Result<Reached, Failed> {
    let once = async || {
        let dialed = dial::dial(address, worked, program, time_out).await?;
        let Dialed { outbox, mut inbox, dialect, place } = dialed;
        let reply = match dialect {
            Dialect::V1 => {
                greet::greet_old(&outbox, &mut inbox, user, time_out).await?;
                None
            }
            Dialect::V2 => {
                let auth = Auth {
                    user: Some(user.as_str().to_owned()),
                    credential: address.credential().cloned(),
                    client: Some(program.clone()),
                    events_since: since,
                };
                Some(greet::greet(&outbox, &mut inbox, auth, time_out).await?)
            }
        };
        Ok(Reached { outbox, inbox, reply, place })
    };
    let (outcome, age) = insist(once).await;
    outcome.map_err(|failure| (failure, age))
}

/// The first outcome of attempts that are made one after the other while none has ended, and how long
/// ago the last one began. Cancel-safe as they are.
async fn insist<A: Future>(mut attempt: impl FnMut() -> A) -> (A::Output, Duration) {
    let mut attempts = FuturesUnordered::new();
    let mut began = Instant::now();
    loop {
        if attempts.len() < MOST {
            attempts.push(attempt());
            began = Instant::now();
        }
        // Dropping the pause is safe, and attempts that have not ended stay where they are.
        tokio::select! {
            biased;
            Some(outcome) = attempts.next() => return (outcome, began.elapsed()),
            () = sleep(ALONE) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn one_that_hangs_is_given_time_and_company() {
        let (start, secs) = (Instant::now(), Duration::from_secs);
        let made = std::cell::Cell::new(0);
        // (takes so many seconds, and says its number)
        let of = |seconds: [u64; 9]| {
            made.set(0);
            let made = &made;
            move || {
                let number = made.get();
                made.set(number + 1);
                async move {
                    sleep(Duration::from_secs(seconds[number])).await;
                    number
                }
            }
        };
        assert_eq!(insist(of([1; 9])).await, (0, secs(1)));
        assert_eq!((made.get(), start.elapsed().as_secs()), (1, 1), "alone");
        assert_eq!(
            insist(of([99, 99, 1, 1, 1, 1, 1, 1, 1])).await,
            (2, secs(1)),
            "the network was gone"
        );
        assert_eq!((made.get(), start.elapsed().as_secs()), (3, 8));
        assert_eq!(insist(of([4; 9])).await, (0, secs(1)), "a slow line");
        assert_eq!((made.get(), start.elapsed().as_secs()), (2, 12));
        assert_eq!(insist(of([50; 9])).await, (0, secs(41)));
        assert_eq!(made.get(), MOST);
    }
}
