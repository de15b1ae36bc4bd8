//! Events for a browser, as they happen (server-sent events, HTML 9.2): read from the catalog as the
//! socket drains, so that a slow browser costs no memory and misses nothing. It lasts as a session does:
//! it has a place among those of its address and of its account, and ends at once when its device is
//! let in no more, or when the server stops.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{HeaderName, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use imgrepo_proto::session::Event;
use imgrepo_proto::{Refusal, Seq};
use serde_json::json;
use tokio::time::sleep;

use super::desk::{Desk, Leave};
use crate::repository::catalog::PersonId;
use crate::repository::{Action, Actor};
use crate::server::Context;
use crate::server::feed::Feed;
use crate::server::registry::{Entry, Seat, Stand};

/// How often a quiet stream says that it is there: well within the minute after which proxies take one
/// for dead.
const COMMENT_EVERY: Duration = Duration::from_secs(15);

/// Has proxies pass on each event as it comes; nginx would gather them.
const UNBUFFERED: HeaderName = HeaderName::from_static("x-accel-buffering");

/// The events after this one, or from now on.
pub(super) async fn listen(
    desk: &Desk,
    actor: Actor,
    since: Option<Seq>,
) -> Result<Response, Refusal> {
    let context = desk.context.clone();
    let seat = match actor.device {
        Some(_) => Some(context.sit_down(&actor)?),
        None => None,
    };
    let feed = Feed::after(&context, since).await?;
    let live = Live {
        hello: true,
        leave: desk.leave(actor, Action::List),
        _entry: context.registry.enter(Stand::Browser),
        _seat: seat,
        context,
        feed,
    };
    let body = Body::from_stream(stream::unfold(live, |mut live| async {
        let text = live.next().await?;
        Some((Ok::<_, std::convert::Infallible>(text), live))
    }));
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream")),
        (UNBUFFERED, HeaderValue::from_static("no")),
    ];
    Ok((headers, body).into_response())
}

/// One browser that listens.
struct Live {
    context: Arc<Context>,
    feed: Feed,
    leave: Leave,
    /// It has heard nothing yet.
    hello: bool,
    _entry: Entry,
    _seat: Option<Seat<PersonId>>,
}

impl Live {
    /// What is said next; none at the end.
    async fn next(&mut self) -> Option<Bytes> {
        if std::mem::take(&mut self.hello) {
            return Some(hello(self.feed.since(), self.feed.newest()).into());
        }
        // Dropping any is safe: what is not taken from the feed stays there, and the others are words
        // and points in time.
        tokio::select! {
            biased;
            () = self.context.registry.stopping() => None,
            _refusal = self.leave.ended() => None,
            events = self.feed.next() => match events {
                Ok(events) => Some(events?.iter().map(told).collect::<String>().into()),
                Err(refusal) => {
                    tracing::error!(reason = %refusal, "cannot read events for a browser");
                    None
                }
            },
            () = sleep(COMMENT_EVERY) => Some(Bytes::from_static(b":\n\n")),
        }
    }
}

/// The first event: from where on it goes, which a browser that comes back says, and how far there is
/// something to tell.
fn hello(since: Seq, newest: Seq) -> String {
    format!("event: hello\nid: {since}\ndata: {}\n\n", json!({"seq": newest}))
}

fn told(event: &Event) -> String {
    // JSON has no line's end in it.
    match (event.seq, serde_json::to_string(event)) {
        (Some(seq), Ok(text)) => format!("id: {seq}\ndata: {text}\n\n"),
        (_, Err(error)) => {
            tracing::error!(%error, "cannot write an event");
            String::new()
        }
        // All of ours have one.
        (None, _) => String::new(),
    }
}
