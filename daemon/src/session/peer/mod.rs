//! The server as the rooms above see it: commands with typed replies, uploads, downloads.
//!
//! A [`Peer`] belongs to one session. Commands that only read are asked once more on the next one
//! when theirs is cut; a command that changes something is not: nobody knows what came of it.

mod calls;
pub(crate) mod classic;
mod slot;
pub(super) mod v1;
pub(super) mod v2;

use std::sync::Arc;

use imgrepo_proto::limits::{MAX_HAVE, SessionLimits, V1_MAX_IMAGE_BYTES};
use imgrepo_proto::session::command::{
    Command, Download, Events, Have, List, Lost, Purge, Rename, Target, Upload, View,
};
use imgrepo_proto::session::reply::{
    EventsReply, HaveReply, ImageReply, ListReply, LostReply, PurgeReply,
};
use imgrepo_proto::session::v1::Entry;
use imgrepo_proto::session::view::{Exif, ExifReply};
use imgrepo_proto::{BlobHash, ErrorCode, Refusal, Seq};
use serde::de::DeserializeOwned;

pub use calls::{DownloadCall, DownloadStep, UploadCall, UploadStep};
pub use v1::Turn;

use super::{Dialect, Session};

/// Hashes in one of our HAVEs: a request of that many is as long as our requests may be.
const HAVE_AT_ONCE: usize = 150;
const _: () = assert!(HAVE_AT_ONCE <= MAX_HAVE);

/// Why a call has no reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum CallError {
    /// The session ended before the reply came.
    Cut,
    /// The server, or this side, refused it.
    Refused(Refusal),
}

/// What a text message of the server meant for the session itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Heard {
    /// It is about to end.
    Bye,
    /// We are something else at the server.
    Actor,
    /// The server has lost contents.
    Lost,
    /// Nothing: it was a reply, or an event.
    Other,
}

/// A session that is up, in its dialect.
#[derive(Debug, Clone)]
pub(crate) enum Dialog {
    V2(Arc<v2::V2>),
    V1(Arc<v1::V1>),
}

/// The server of a session that is up. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Peer {
    session: Session,
    dialog: Dialog,
}

impl Peer {
    pub(super) fn new(session: Session, dialog: Dialog) -> Self {
        Peer { session, dialog }
    }

    /// The dialect that the server speaks.
    #[must_use]
    pub fn dialect(&self) -> Dialect {
        match self.dialog {
            Dialog::V2(_) => Dialect::V2,
            Dialog::V1(_) => Dialect::V1,
        }
    }

    /// What the server takes.
    #[must_use]
    pub fn limits(&self) -> SessionLimits {
        match &self.dialog {
            Dialog::V2(v2) => *v2.limits(),
            Dialog::V1(_) => SessionLimits {
                max_requests: 1,
                max_image_size: V1_MAX_IMAGE_BYTES,
                ..SessionLimits::default()
            },
        }
    }

    /// Whose queue it is: the repository, and the person there. An old server has no number of its
    /// repository: there it is the address.
    pub(crate) fn membership(&self) -> (String, String) {
        match &self.dialog {
            Dialog::V2(v2) => (v2.greeting.repository.0.clone(), v2.user.to_string()),
            Dialog::V1(v1) => (format!("v1 {}", v1.server), v1.user.clone()),
        }
    }

    /// The address that it was reached at.
    pub(crate) fn address(&self) -> &str {
        match &self.dialog {
            Dialog::V2(v2) => &v2.address,
            Dialog::V1(v1) => &v1.server,
        }
    }

    /// The server's name and version.
    pub(crate) fn server(&self) -> String {
        match &self.dialog {
            Dialog::V2(v2) => format!("{} {}", v2.greeting.server.name, v2.greeting.server.version),
            Dialog::V1(_) => "v1".to_owned(),
        }
    }

    /// Whether we may upload there, by the server's last word.
    pub(crate) fn may_upload(&self) -> bool {
        match &self.dialog {
            Dialog::V2(v2) => v2.actor().can.iter().any(|word| word == "upload"),
            Dialog::V1(_) => true,
        }
    }

    /// Whether it had lost contents when the session began.
    pub(crate) fn has_lost(&self) -> bool {
        match &self.dialog {
            Dialog::V2(v2) => v2.greeting.lost,
            Dialog::V1(_) => false,
        }
    }

    /// Whether its session has ended.
    pub(crate) fn is_over(&self) -> bool {
        self.dialog.is_over()
    }

    /// As whom the session is; of an old server, whose words are no proof, the name it was told.
    pub(crate) fn old_user(&self) -> Option<&str> {
        match &self.dialog {
            Dialog::V1(v1) => Some(&v1.user),
            Dialog::V2(_) => None,
        }
    }

    /// A page of records.
    ///
    /// # Errors
    /// The server's refusal; `not_connected` when the session was cut twice.
    pub async fn list(&self, list: List) -> Result<ListReply, Refusal> {
        let old = |entries: &[Entry]| classic::page(entries, &list);
        self.read("list the images", Command::List(list.clone()), &old).await
    }

    /// One record; a name that several bear is `ambiguous`.
    ///
    /// # Errors
    /// As [`Peer::list`].
    pub async fn info(&self, target: Target) -> Result<ImageReply, Refusal> {
        let old =
            |entries: &[Entry]| classic::find(entries, &target).map(|image| ImageReply { image });
        self.read("look at the image", Command::Info(target.clone()), &old).await
    }

    /// Which of these contents the repository has.
    ///
    /// # Errors
    /// As [`Peer::list`]; `unsupported` by an old server.
    pub async fn have(&self, hashes: &[BlobHash]) -> Result<HaveReply, Refusal> {
        let act = "look for contents";
        let mut all = HaveReply::default();
        for hashes in hashes.chunks(HAVE_AT_ONCE) {
            let command = Command::Have(Have { hashes: hashes.to_vec() });
            let part: HaveReply = self.read(act, command, &|_| Err(old_cannot(act))).await?;
            all.have.extend(part.have);
        }
        Ok(all)
    }

    /// Contents that the server has lost and that this person uploaded, behind this one.
    ///
    /// # Errors
    /// As [`Peer::list`]; `unsupported` by an old server, and by one that does not ask for them.
    pub(crate) async fn lost(&self, after: Option<BlobHash>) -> Result<LostReply, Refusal> {
        self.look("ask what was lost", Command::Lost(Lost { after })).await
    }

    /// What the camera wrote into an image.
    ///
    /// # Errors
    /// As [`Peer::list`]; `unsupported` by an old server.
    pub async fn exif(&self, target: Target) -> Result<Option<Exif>, Refusal> {
        let reply: ExifReply =
            self.look("read what the camera wrote", Command::Exif(target)).await?;
        Ok(reply.exif)
    }

    /// A page of past events, oldest first. Of an old server: the latest that it told.
    ///
    /// # Errors
    /// As [`Peer::list`].
    pub async fn events(&self, since: Seq, limit: u32) -> Result<EventsReply, Refusal> {
        if self.dialect() == Dialect::V1 {
            let events = self.session.feed().notices(limit as usize);
            return Ok(EventsReply { events, next: None });
        }
        let act = "read the events";
        let command = Command::Events(Events { since, limit: Some(limit) });
        self.read(act, command, &|_| Err(old_cannot(act))).await
    }

    /// Another name for an image.
    ///
    /// # Errors
    /// The server's refusal; `unsupported` by an old server; `not_connected` when the session was
    /// cut before the reply: then it may have been carried out.
    pub async fn rename(&self, rename: Rename) -> Result<ImageReply, Refusal> {
        self.change("rename images", Command::Rename(rename)).await
    }

    /// An image to the trash.
    ///
    /// # Errors
    /// As [`Peer::rename`].
    pub async fn delete(&self, target: Target) -> Result<ImageReply, Refusal> {
        self.change("delete images", Command::Delete(target)).await
    }

    /// An image out of the trash.
    ///
    /// # Errors
    /// As [`Peer::rename`].
    pub async fn restore(&self, target: Target) -> Result<ImageReply, Refusal> {
        self.change("restore images", Command::Restore(target)).await
    }

    /// Images out of the trash for ever.
    ///
    /// # Errors
    /// As [`Peer::rename`].
    pub async fn purge(&self, purge: Purge) -> Result<PurgeReply, Refusal> {
        self.change("empty the trash", Command::Purge(purge)).await
    }

    /// Asks something that changes nothing; `act` names it, as in `list the people`.
    ///
    /// # Errors
    /// As [`Peer::list`]; `unsupported` by an old server.
    pub(crate) async fn look<T: DeserializeOwned>(
        &self,
        act: &str,
        command: Command,
    ) -> Result<T, Refusal> {
        self.read(act, command, &|_| Err(old_cannot(act))).await
    }

    /// Asks for a change; `act` names it, as in `revoke a device`.
    ///
    /// # Errors
    /// As [`Peer::rename`].
    pub(crate) async fn act<T: DeserializeOwned>(
        &self,
        act: &str,
        command: Command,
    ) -> Result<T, Refusal> {
        self.change(act, command).await
    }

    /// Offers a content. What comes of it the call says; an old server takes contents only whole
    /// (`Peer::turn`).
    pub async fn upload(&self, upload: Upload) -> UploadCall {
        match &self.dialog {
            Dialog::V2(v2) => UploadCall::begin(v2, upload).await,
            Dialog::V1(v1) => UploadCall::failed(cannot(v1, "take a content in pieces")),
        }
    }

    /// Asks for a content from an offset on: for so many bytes, or for all, as an old server sends it
    /// in any case.
    pub async fn download(&self, target: Target, offset: u64, length: Option<u64>) -> DownloadCall {
        match &self.dialog {
            Dialog::V2(v2) => DownloadCall::begin(v2, Download { target, offset, length }).await,
            Dialog::V1(v1) => DownloadCall::begin_old(v1, &target, offset).await,
        }
    }

    /// Asks for a picture of an image. An old server makes none: from there comes the image itself,
    /// which has come whole before anything of it is seen, and it is for the caller to look whether
    /// it is one that is shown as it is.
    pub async fn view(&self, view: View) -> DownloadCall {
        match &self.dialog {
            Dialog::V2(v2) => DownloadCall::view(v2, view).await,
            Dialog::V1(v1) => DownloadCall::begin_old(v1, &view.target, 0).await,
        }
    }

    /// Waits for the right to speak to an old server; None where the server is not old.
    pub(crate) async fn turn(&self) -> Option<Result<Turn, CallError>> {
        match &self.dialog {
            Dialog::V1(v1) => Some(v1.turn().await),
            Dialog::V2(_) => None,
        }
    }

    /// Asks, and once more on the next session where this one is cut. An old server's answer is
    /// made from its list.
    async fn read<T: DeserializeOwned>(
        &self,
        act: &str,
        command: Command,
        old: &(dyn Fn(&[Entry]) -> Result<T, Refusal> + Send + Sync),
    ) -> Result<T, Refusal> {
        let outcome = match self.dialog.read(command.clone(), old).await {
            Err(CallError::Cut) => self.session.peer().await?.dialog.read(command, old).await,
            outcome => outcome,
        };
        outcome.map_err(|error| match error {
            CallError::Refused(refusal) => refusal,
            CallError::Cut => Refusal::new(
                ErrorCode::NotConnected,
                format!("cannot {act}: the session to the server was cut"),
            ),
        })
    }

    /// Asks for a change, once.
    async fn change<T: DeserializeOwned>(&self, act: &str, command: Command) -> Result<T, Refusal> {
        let outcome = match &self.dialog {
            Dialog::V2(v2) => v2.call(command).await,
            Dialog::V1(v1) => Err(cannot(v1, act)),
        };
        outcome.map_err(|error| match error {
            CallError::Refused(refusal) => refusal,
            CallError::Cut => Refusal::new(
                ErrorCode::NotConnected,
                format!("cannot {act}: the session was cut before the reply, so it may or may not be done"),
            )
            .hint("look with `imgctl info` before trying again"),
        })
    }
}

impl Dialog {
    /// Whether its link has ended: nothing can be asked any more.
    pub(super) fn is_over(&self) -> bool {
        match self {
            Dialog::V2(v2) => v2.outbox.is_closed(),
            Dialog::V1(v1) => v1.outbox.is_closed(),
        }
    }

    async fn read<T: DeserializeOwned>(
        &self,
        command: Command,
        old: &(dyn Fn(&[Entry]) -> Result<T, Refusal> + Send + Sync),
    ) -> Result<T, CallError> {
        match self {
            Dialog::V2(v2) => v2.call(command).await,
            Dialog::V1(v1) => {
                let entries = old_list(v1).await?;
                old(&entries).map_err(CallError::Refused)
            }
        }
    }
}

async fn old_list(v1: &Arc<v1::V1>) -> Result<Vec<Entry>, CallError> {
    let (_turn, entries) = v1.turn().await?.list().await?;
    Ok(entries)
}

/// What an old server has no command for.
fn cannot(v1: &v1::V1, act: &str) -> CallError {
    let message = format!("the old server at `{}` cannot {act}", v1.server);
    CallError::Refused(Refusal::new(ErrorCode::Unsupported, message))
}

/// As [`cannot`], of whatever old server it is.
fn old_cannot(act: &str) -> Refusal {
    Refusal::new(ErrorCode::Unsupported, format!("an old server cannot {act}"))
}
