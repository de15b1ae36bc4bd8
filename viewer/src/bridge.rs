//! What the window and its page say to each other, as JSON. Pure: shapes alone.
//!
//! The page hears `imgrepo` events of its `window` and posts messages to `window.ipc`, which any
//! script in the window could use; so nothing that it may ask for reaches beyond the repository, the
//! folder of downloads and the window itself.

use imgrepo_proto::session::event::Event;
use imgrepo_proto::{ErrorCode, ImageId};
use serde::{Deserialize, Serialize};

/// The longest message of a page: the ids of a large selection.
const ASKED_BYTES: usize = 256 * 1024;

/// The script by which a page finds in its `window` what it is given, before its first own one: that it
/// is in a window, and the language of the system (`pt-BR`), null where that has none. WebKitGTK itself
/// looks at the language of letters alone (LC_CTYPE), which is not what people choose their words by.
pub(crate) fn given<'a>(languages: impl IntoIterator<Item = &'a str>) -> String {
    let first = languages.into_iter().find(|one| !one.is_empty());
    let language = first.and_then(tag).filter(|one| one != "C" && one != "POSIX");
    let given = serde_json::json!({"version": 1, "drops": "paths", "language": language});
    format!(r#"Object.defineProperty(window, "imgrepoWindow", {{value: Object.freeze({given})}});"#)
}

/// A POSIX locale (`pt_BR.UTF-8@latin`) as browsers write languages; None for what cannot be one.
fn tag(locale: &str) -> Option<String> {
    let name = locale.split(['.', '@']).next()?.replace('_', "-");
    let is_tag = name.split('-').all(|part| {
        (1..=8).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_alphanumeric())
    });
    is_tag.then_some(name)
}

/// What the page is told.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(crate) enum Told {
    /// Something happened in the repository.
    Event {
        /// What, as in a session.
        event: Box<Event>,
    },
    /// How the session stands.
    Session {
        /// `connected`, `connecting`, `waiting`, `offline`, `refused`; `gone` without a daemon.
        state: &'static str,
        /// Why.
        message: String,
    },
    /// Show this image.
    Open {
        /// Which.
        image: ImageId,
    },
    /// How far a dropped file has come.
    Upload {
        /// The image's name.
        name: String,
        /// Bytes that are over.
        done: u64,
        /// Bytes in all.
        total: u64,
        /// `queued`, `sending`, `stored`, `duplicate`, `failed`.
        state: &'static str,
        /// Why it failed, for a page that has words of its own for it.
        code: Option<ErrorCode>,
        /// Why it failed.
        message: Option<String>,
    },
    /// Files are held over the window.
    Drag {
        /// Or no longer.
        over: bool,
    },
    /// An image was saved.
    Saved {
        /// Its name.
        name: String,
        /// Where to.
        path: String,
    },
    /// Something that was asked for was not done.
    Failed {
        /// Why.
        message: String,
    },
}

/// What the page asks for.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
pub(crate) enum Asked {
    /// It listens.
    Ready,
    /// Another title.
    Title {
        /// The title.
        text: String,
    },
    /// Close the window.
    Close,
    /// Fill the screen, or stop that.
    Fullscreen {
        /// Whether.
        on: bool,
    },
    /// The first picture is on the screen.
    Painted {
        /// Of this image; None is the grid.
        image: Option<ImageId>,
    },
    /// Save these.
    Download {
        /// Which.
        images: Vec<ImageId>,
    },
    /// As if these files had been dropped: heard in a test alone.
    Drop {
        /// Which.
        paths: Vec<std::path::PathBuf>,
    },
}

impl Asked {
    /// Reads a message; None where it is none that this version knows.
    pub(crate) fn read(message: &str) -> Option<Self> {
        (message.len() <= ASKED_BYTES).then(|| serde_json::from_str(message).ok()).flatten()
    }
}

/// The script that tells a page all of this, in order.
pub(crate) fn script(told: &[Told]) -> String {
    // JSON is an expression of JavaScript, whatever the texts in it.
    let details = serde_json::to_string(told).unwrap_or_else(|_| "[]".to_owned());
    format!(
        "for (const detail of {details}) window.dispatchEvent(new CustomEvent(\"imgrepo\", {{detail}}));"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_is_given_the_systems_language() {
        let language = |locales: &[&str]| given(locales.iter().copied());
        assert!(language(&["pt_BR.UTF-8", "pt_BR", "pt", "C"]).contains(r#""language":"pt-BR""#));
        assert!(language(&["en_GB", "en", "C"]).contains(r#""language":"en-GB""#));
        for none in [&["C"][..], &["C.UTF-8", "C"], &["'});alert(1)"], &[]] {
            assert!(language(none).contains(r#""language":null"#), "{none:?}");
        }
    }

    #[test]
    fn what_the_page_asks_for_is_read_and_nothing_else_is() {
        let read = Asked::read;
        assert_eq!(read(r#"{"do":"ready"}"#), Some(Asked::Ready));
        assert_eq!(read(r#"{"do":"title","text":"a"}"#), Some(Asked::Title { text: "a".into() }));
        assert_eq!(read(r#"{"do":"fullscreen","on":true}"#), Some(Asked::Fullscreen { on: true }));
        assert_eq!(read(r#"{"do":"painted","image":null}"#), Some(Asked::Painted { image: None }));
        let images = vec![ImageId(7), ImageId(8)];
        assert_eq!(read(r#"{"do":"download","images":[7,8]}"#), Some(Asked::Download { images }));
        for bad in ["", "{}", "[]", r#"{"do":"run"}"#, r#"{"do":"title"}"#, r#"{"do":7}"#] {
            assert_eq!(read(bad), None, "{bad}");
        }
        let long = "x".repeat(ASKED_BYTES);
        assert_eq!(read(&format!(r#"{{"do":"title","text":"{long}"}}"#)), None);
    }

    #[test]
    fn what_the_page_is_told_is_data_whatever_is_in_it() {
        let message = "\"});alert(1);//</script>\u{2028}\\".to_owned();
        let script = script(&[
            Told::Session { state: "gone", message: message.clone() },
            Told::Open { image: ImageId(7) },
            Told::Drag { over: true },
        ]);
        let json = script.strip_prefix("for (const detail of ").unwrap();
        let json = json.split(") window.dispatchEvent").next().unwrap();
        let details: serde_json::Value = serde_json::from_str(json).unwrap();
        let session = serde_json::json!({"kind": "session", "state": "gone", "message": message});
        assert_eq!(details[0], session);
        assert_eq!(details[1], serde_json::json!({"kind": "open", "image": 7}));
        assert_eq!(details[2], serde_json::json!({"kind": "drag", "over": true}));
    }
}
