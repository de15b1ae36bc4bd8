//! The custom protocol `imgrepo://localhost/`: the page's files, and the API over the local socket.
//!
//! Called by the web view on the window's thread, which never waits here: calls go to a few threads,
//! each with a connection of its own. Contents in full have threads of their own, so that a large
//! one keeps no thumbnail waiting. Every request is answered, whatever becomes of it.

use std::borrow::Cow;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use imgrepo_proto::api::{self, Answer, Call, Head};
use imgrepo_proto::control::{Client, Endpoint};
use imgrepo_proto::{ErrorCode, Refusal};
use wry::RequestAsyncResponder;
use wry::http::{Request, Response};

use crate::attached::Standing;
use crate::fetch::{self, Fetched};
use crate::kept::Kept;
use crate::{program, ui};

/// Calls at once: as many as the daemon's session carries well side by side.
const CALLS_AT_ONCE: usize = 6;

/// Contents in full at once: each is held in memory.
const CONTENTS_AT_ONCE: usize = 2;

/// Calls that wait: a page asks for a screen of thumbnails, and for the next.
const WAITING: usize = 1024;

/// How long anything but a content in full may take. A picture that is to be made first takes
/// seconds where the server is busy.
const TIME: Duration = Duration::from_secs(60);

/// What is answered to the web view.
type Answered = Response<Cow<'static, [u8]>>;

/// The door. Its threads end with the process.
#[derive(Clone)]
pub(crate) struct Door {
    kept: Arc<Kept>,
    calls: SyncSender<Job>,
    contents: SyncSender<Job>,
}

struct Job {
    call: Call,
    /// What follows the origin.
    target: String,
    body: Vec<u8>,
    answer: Pending,
}

/// A request of the page. One that is dropped is answered too.
struct Pending(Option<RequestAsyncResponder>);

impl Pending {
    fn answer(mut self, fetched: Fetched) {
        if let Some(responder) = self.0.take() {
            responder.respond(response(fetched));
        }
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        if let Some(responder) = self.0.take() {
            let refusal = Refusal::new(ErrorCode::Internal, "the window could not carry this out");
            responder.respond(response(fetch::whole(Answer::refused(&refusal))));
        }
    }
}

impl Door {
    /// To this daemon.
    pub(crate) fn open(endpoint: &Endpoint, standing: &Arc<Standing>) -> Door {
        let kept = Arc::new(Kept::default());
        let lane = |threads: usize, time: Option<Duration>| {
            let (jobs, next) = sync_channel(WAITING);
            let next = Arc::new(Mutex::new(next));
            for _ in 0..threads {
                let (endpoint, standing) = (endpoint.clone(), Arc::clone(standing));
                let (next, kept) = (Arc::clone(&next), Arc::clone(&kept));
                // Not joined: it waits for calls as long as the process lives.
                thread::spawn(move || work(&endpoint, &standing, &kept, &next, time));
            }
            jobs
        };
        let (calls, contents) = (lane(CALLS_AT_ONCE, Some(TIME)), lane(CONTENTS_AT_ONCE, None));
        Door { kept, calls, contents }
    }

    /// Answers a request now or later.
    pub(crate) fn request(&self, request: Request<Vec<u8>>, responder: RequestAsyncResponder) {
        let answer = Pending(Some(responder));
        let path = request.uri().path();
        if !path.starts_with("/api/") {
            return answer.answer(ui::file(path));
        }
        let target = request.uri().path_and_query().map_or("/", |target| target.as_str());
        match read(&request, target) {
            Err(refused) => answer.answer(fetch::whole(refused)),
            Ok(call) => match (&call, self.kept.get(target)) {
                (Call::View(_, how), Some(kept)) => {
                    answer.answer(fetch::answered(Ok(&*kept), how));
                }
                _ => {
                    let target = target.to_owned();
                    self.pass(Job { call, target, body: request.into_body(), answer });
                }
            },
        }
    }

    fn pass(&self, job: Job) {
        let lane = match job.call {
            Call::Original(..) | Call::Upload(_) => &self.contents,
            _ => &self.calls,
        };
        if let Err(TrySendError::Full(job) | TrySendError::Disconnected(job)) = lane.try_send(job) {
            let refusal = Refusal::new(ErrorCode::Busy, "too much is asked for at once");
            job.answer.answer(fetch::whole(Answer::refused(&refusal)));
        }
    }
}

fn read(request: &Request<Vec<u8>>, target: &str) -> Result<Call, Answer> {
    // What is there is what counts, not what the page says of it.
    const LENGTH: &str = "content-length";
    let length = request.body().len().to_string();
    let lines = request.headers().iter();
    let lines = lines.map(|(name, value)| (name.as_str(), value.as_bytes()));
    let lines = lines.filter(|(name, _)| !name.eq_ignore_ascii_case(LENGTH));
    let own = std::iter::once((LENGTH, length.as_bytes()));
    api::read(request.method().as_str(), target, lines.chain(own))
}

fn work(
    endpoint: &Endpoint,
    standing: &Standing,
    kept: &Kept,
    next: &Mutex<Receiver<Job>>,
    time: Option<Duration>,
) {
    let mut daemon: Option<(u64, Client)> = None;
    loop {
        let job = next.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(Job { call, target, body, answer }) = job else { return };
        let ends = standing.ends();
        let open = match daemon.take() {
            // To one that has ended since then, each thread would fail once.
            Some((then, open)) if then == ends => Ok(open),
            _ => Client::connect(endpoint, program()),
        };
        match open {
            Ok(mut open) => {
                open.set_timeout(time);
                answer.answer(match call {
                    // Its address names its content, so it can be kept by that.
                    Call::View(view, how) if how.version.is_some() => {
                        let picture = fetch::picture(&mut open, &view).map(Arc::new);
                        if let Ok(picture) = &picture {
                            kept.put(target, Arc::clone(picture));
                        }
                        fetch::answered(picture.as_deref(), &how)
                    }
                    call => fetch::carry_out(&mut open, standing, call, &body),
                });
                daemon = Some((ends, open));
            }
            Err(refusal) => answer.answer(fetch::whole(Answer::refused(&refusal))),
        }
    }
}

fn response((Head { status, headers }, body): Fetched) -> Answered {
    let mut response = Response::builder().status(status);
    for (name, value) in headers {
        response = response.header(name, value);
    }
    let broken = || Response::new(Cow::Borrowed(&b"the answer has no form"[..]));
    response.body(Cow::Owned(body)).unwrap_or_else(|_| broken())
}
