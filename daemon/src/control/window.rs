//! `Window`: the one window of a daemon, and what it is asked to show.
//!
//! The window stays attached over a request of its own; when that ends, however it ends, its place
//! is free. Only the latest image that was asked for is told: the ones before it nobody waits for.

use imgrepo_proto::control::window::{Opened, WindowItem, WindowRequest};
use imgrepo_proto::control::{Outcome, Reply};
use imgrepo_proto::{ErrorCode, ImageId, ImageRef, Refusal};
use tokio::sync::watch;

use super::Context;
use super::connection::Answer;
use super::wire::Replies;
use super::{resolve, status};

/// The place for a window.
#[derive(Debug, Default)]
pub struct Windows(watch::Sender<Place>);

#[derive(Debug, Default)]
struct Place {
    is_taken: bool,
    /// How often something was asked for, and what it was last.
    asked: u64,
    wanted: Option<ImageId>,
}

pub(super) async fn window(
    context: &Context,
    request: WindowRequest,
    replies: &mut Replies<'_>,
) -> Answer {
    match request {
        WindowRequest::Open { image, wait } => open(context, image, wait).await,
        WindowRequest::Attach => attach(context, replies).await,
    }
}

async fn open(context: &Context, image: Option<ImageRef>, wait: bool) -> Answer {
    let image = match image {
        None => None,
        Some(image) => Some(resolve::record(&context.session.peer().await?, image).await?),
    };
    let id = image.as_ref().map(|record| record.id);
    let mut is_shown = context.windows.show(id);
    let mut place = context.windows.0.subscribe();
    // It may be gone again by the time that this comes to ask it.
    while wait && !is_shown && place.wait_for(|place| place.is_taken).await.is_ok() {
        is_shown = context.windows.show(id);
    }
    Ok(Outcome::Window(Box::new(Opened { image, is_shown })))
}

async fn attach(context: &Context, replies: &mut Replies<'_>) -> Answer {
    let Some(attached) = context.windows.attach() else {
        return Err(Refusal::new(ErrorCode::Conflict, "there is a window already"));
    };
    let mut place = attached.0.0.subscribe();
    let mut session = context.session.status();
    let mut shown = place.borrow_and_update().asked;
    session.mark_changed();
    loop {
        // Both only wake: a change that is not looked at now is looked at next.
        tokio::select! {
            _ = session.changed() => {
                session.borrow_and_update();
                let status = Box::new(status::session(context));
                replies.send(&Reply::Window(WindowItem::Session(status))).await?;
            }
            _ = place.changed() => {
                let (asked, wanted) = {
                    let place = place.borrow_and_update();
                    (place.asked, place.wanted)
                };
                if asked != shown {
                    shown = asked;
                    replies.send(&Reply::Window(WindowItem::Show(wanted))).await?;
                }
            }
        }
    }
}

/// Whose window it is; its place is free when this is dropped.
struct Attached<'a>(&'a Windows);

impl Windows {
    /// Takes the place; None where there is a window.
    fn attach(&self) -> Option<Attached<'_>> {
        let is_free =
            self.0.send_if_modified(|place| !std::mem::replace(&mut place.is_taken, true));
        // Not made where it is not theirs: its drop would free another's.
        is_free.then(|| Attached(self))
    }

    /// Has the window, where there is one, show this. False where there is none.
    fn show(&self, image: Option<ImageId>) -> bool {
        self.0.send_if_modified(|place| {
            if place.is_taken {
                place.asked += 1;
                place.wanted = image;
            }
            place.is_taken
        })
    }
}

impl Drop for Attached<'_> {
    fn drop(&mut self) {
        self.0.0.send_modify(|place| place.is_taken = false);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_one_window_and_its_place_is_free_when_it_closes() {
        let windows = Windows::default();
        assert!(!windows.show(Some(ImageId(7))));
        let first = windows.attach().unwrap();
        assert!(windows.attach().is_none());
        assert!(windows.show(Some(ImageId(7))) && windows.show(None));
        let place = windows.0.borrow();
        // What was asked for before there was a window is not told to it.
        assert_eq!((place.asked, place.wanted), (2, None));
        drop(place);
        drop(first);
        assert!(!windows.show(None));
        assert!(windows.attach().is_some());
    }
}
