//! What can be asked of the daemon. One file in the daemon's `control` room carries out each.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::maintenance::Maintenance;
use super::people::PeopleRequest;
use super::queue::QueueRequest;
use super::watch::WatchRequest;
use super::window::WindowRequest;
use crate::image::{BlobHash, ImageId, Seq};
use crate::image_ref::ImageRef;
use crate::session::command;

/// A request, or a frame that belongs to the one under way ([`Request::Data`], [`Request::End`]).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Request {
    /// How everything is. Answered by [`super::Outcome::Status`].
    Status,
    /// Open the session to this server and keep it open, across restarts too. Answered by
    /// [`super::Outcome::Status`] once the session is connected or was refused.
    Connect {
        /// `ws://host:port/`, or `host[:port]`.
        url: String,
        /// The person's name there; the remembered one or the login name when missing.
        user: Option<String>,
    },
    /// End the session in order and stay offline. Answered by [`super::Outcome::Status`].
    Disconnect,
    /// Leave the repository for good: this device is revoked there, where it is connected, and what is
    /// kept of the repository here is forgotten. `conflict` while there are uploads that are not done.
    /// Answered by [`super::Outcome::Left`].
    Leave,
    /// End the daemon. Answered by [`super::Outcome::Nothing`] before it does.
    Stop,
    /// Store an image. Answered by [`super::Outcome::Stored`], with [`super::Reply::Progress`] before.
    Upload(Upload),
    /// A page of records. Answered by [`super::Outcome::Images`].
    List(command::List),
    /// One record. Answered by [`super::Outcome::Image`].
    Info(ImageRef),
    /// A content: [`super::Reply::Size`], then [`super::Reply::Data`] in order, then
    /// [`super::Outcome::Image`] once the whole of it was checked against its hash.
    Download {
        /// Which image.
        image: ImageRef,
        /// Bytes of it that are here already: only what follows them comes. From 1 on it is for the
        /// program to check the whole against the hash.
        #[serde(default)]
        offset: u64,
    },
    /// A picture of an image, made for looking at it: [`super::Reply::Size`], then
    /// [`super::Reply::Data`] in order, then [`super::Outcome::Nothing`] once the whole of it was
    /// checked against its hash.
    View {
        /// Which image.
        image: ImageRef,
        /// Which picture of it.
        variant: command::Variant,
    },
    /// What the camera wrote into an image. Answered by [`super::Outcome::Exif`].
    Exif(ImageRef),
    /// Another name for an image. Answered by [`super::Outcome::Image`].
    Rename {
        /// Which image.
        image: ImageRef,
        /// Its new name.
        name: String,
    },
    /// An image to the trash. Answered by [`super::Outcome::Image`].
    Delete(ImageRef),
    /// An image out of the trash; a name is looked for there. Answered by [`super::Outcome::Image`].
    Restore(ImageRef),
    /// Empty the trash, or take one image out of it for ever. Answered by [`super::Outcome::Purged`].
    Purge {
        /// Only this one.
        image: Option<ImageId>,
    },
    /// History: [`super::Reply::Event`] for each, then [`super::Outcome::Nothing`], or none while
    /// it follows what happens from now on.
    Events {
        /// After this one; 0 is the beginning. Missing: the last few, and with `follow` only new ones.
        since: Option<Seq>,
        /// Stay open and tell what happens, through cuts of the session.
        follow: bool,
    },
    /// Store an image once there is a way to, whatever happens until then. Answered by
    /// [`super::Outcome::Queued`] when that is durable.
    Enqueue(Upload),
    /// Something about the queue.
    Queue(QueueRequest),
    /// Something about watched folders.
    Watch(WatchRequest),
    /// Looks at every watched folder once, then waits until nothing of the queue is open:
    /// [`super::Reply::Queue`] at each change, then [`super::Outcome::Queue`].
    Wait,
    /// Which of these contents the repository has: at most 1,000. Answered by
    /// [`super::Outcome::Have`].
    Have(Vec<BlobHash>),
    /// Limit all transfers together, across restarts too; a missing one stays as it is. Answered by
    /// [`super::Outcome::Rates`].
    Limit {
        /// To the server: bytes a second, or none where it is 0.
        up: Option<u64>,
        /// From the server.
        down: Option<u64>,
    },
    /// Something about people.
    People(PeopleRequest),
    /// Something about the window.
    Window(WindowRequest),
    /// Look whether everything is as it should be. Answered by [`super::Outcome::Findings`].
    Examine,
    /// Work on the repository that this daemon serves: [`super::Reply::Maintenance`] while it goes on,
    /// then [`super::Outcome::Maintenance`].
    Maintenance(Maintenance),
    /// A piece of the content of an [`Upload`] whose bytes the client streams.
    Data(#[serde(with = "super::reply::bytes_as_bin")] Vec<u8>),
    /// The end of that content.
    End,
}

/// An image to store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Upload {
    /// Its name.
    pub name: String,
    /// Where its content is.
    pub content: Content,
    /// Refuse (`deleted`) what this person has deleted, instead of bringing it back.
    #[serde(default)]
    pub unless_deleted: bool,
}

/// Where the content of an upload is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Content {
    /// In the file of this absolute path, which the daemon reads itself. Where it cannot, the code
    /// is `file_error` and the client may try again with [`Content::Stream`].
    Path(#[serde(with = "super::path")] PathBuf),
    /// It follows in [`Request::Data`] frames and ends with [`Request::End`].
    Stream,
}
