//! How a watched folder stands: what its status says, and what follows from what stops it. The
//! folder's task calls it; nothing here looks at the disk.

use std::time::Instant;

use imgrepo_proto::control::watch::FolderState;
use imgrepo_proto::name::shown;

use crate::watch::notifier::Blind;
use crate::watch::root;
use crate::watch::scan::Stopped;
use crate::watch::settle::Unsettled;

use super::{Live, Task};

impl Task {
    pub(super) fn go_blind(&mut self, blind: Blind) {
        tracing::warn!("`{}` is polled: {}", self.place.path.display(), blind.why);
        self.notifier = None;
        self.blind = Some(blind);
        self.see_again = Instant::now() + self.settings.rescan;
    }

    /// It is as it should be, or polled; says which.
    pub(super) fn say(&mut self, file_system: Option<String>) {
        let (state, why, hint) = match (&self.notifier, &self.blind) {
            (Some(_), _) => (FolderState::Watching, self.remarks.text(), None),
            (None, Some(blind)) => {
                (FolderState::Polling, Some(blind.why.clone()), blind.hint.clone())
            }
            (None, None) => {
                let kind = file_system.as_deref().unwrap_or("this file system");
                let why = format!("no event tells what other machines change on {kind}");
                (FolderState::Polling, Some(why), None)
            }
        };
        self.live.send_modify(|live| {
            *live = Live { state, why, hint, file_system, scanned_at: live.scanned_at };
        });
    }

    /// Something keeps it from being looked at.
    pub(super) fn stopped(&mut self, stopped: Stopped) {
        let path = self.place.path.display();
        let now = Instant::now();
        match stopped {
            Stopped::Vanished(why) => {
                if !self.is_vanished {
                    tracing::warn!("the watched folder `{path}` has vanished: {why}");
                }
                self.is_vanished = true;
                self.notifier = None;
                self.next_check = now + self.settings.poll;
                // They are looked at again when it is back: their rows say that they were settling.
                self.unsettled = Unsettled::new(self.settings.settle, self.settings.torn);
                self.next_scan = now + self.settings.rescan;
                self.live.send_modify(|live| {
                    live.state = FolderState::Vanished;
                    let is_another = why == root::ANOTHER;
                    let back = "nothing was forgotten, and it goes on by itself when it is back";
                    live.hint = Some(match is_another {
                        true => format!(
                            "{back}; if what is there now is the right one: imgctl watch add '{}'",
                            shown(&self.place.path.to_string_lossy())
                        ),
                        false => back.to_owned(),
                    });
                    live.why = Some(why);
                });
            }
            Stopped::Blind(blind) => {
                self.go_blind(blind);
                self.next_scan = now;
            }
            Stopped::State(refusal) => {
                // Once: a full disk may stay so for a week, and is tried every few seconds.
                if self.live.borrow().why.as_ref() != Some(&refusal.message) {
                    tracing::error!("cannot look at `{path}`: {refusal}");
                }
                self.next_scan = now + self.settings.poll;
                self.live.send_modify(|live| {
                    // All of it is looked at again: what events told of it is not known either.
                    live.state = FolderState::Scanning;
                    live.why = Some(refusal.message);
                    live.hint = refusal.hint;
                });
            }
        }
    }
}
