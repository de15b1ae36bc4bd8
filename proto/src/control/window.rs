//! What the local socket says of the window: to have it show something, and to be it.
//!
//! A daemon has one window. It attaches and stays so until it closes; `imgctl view` and a window
//! that finds its place taken have the one that is there show what they were asked for. Used by
//! requests, replies, `imgctl` and the window; decides nothing.

use serde::{Deserialize, Serialize};

use super::reply::SessionStatus;
use crate::image::{ImageId, ImageRecord};
use crate::image_ref::ImageRef;

/// What can be asked of windows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WindowRequest {
    /// Have the window show an image, or only come to the front. Answered by
    /// [`super::Outcome::Window`].
    Open {
        /// Which image; None leaves what is shown.
        image: Option<ImageRef>,
        /// Where there is no window, wait until one has attached.
        wait: bool,
    },
    /// Be the window, for as long as this request lasts. Answered by [`super::Reply::Window`], the
    /// session's status first of all; `conflict` where there is a window.
    Attach,
}

/// What the window is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WindowItem {
    /// How the session stands: at first, and whenever that changes.
    Session(Box<SessionStatus>),
    /// Come to the front and show this image; None leaves what is shown.
    Show(Option<ImageId>),
}

/// What came of [`WindowRequest::Open`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Opened {
    /// The image that was asked for.
    pub image: Option<ImageRecord>,
    /// Whether there is a window, which shows it now.
    pub is_shown: bool,
}
