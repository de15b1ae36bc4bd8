//! What the system tells of changes in a watched folder, as hints. The one file that knows the
//! notify crate.
//!
//! One notifier watches the folders of one watched folder, each by itself, so that what is passed
//! over is not watched at all. Hints may be late, doubled or lost: a scan is the truth. Dropping it
//! ends it, with its thread.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use notify::event::{AccessKind, AccessMode, EventKind, ModifyKind, RenameMode};
use notify::{ErrorKind, RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::sync::{Notify, mpsc};

/// Hints that wait: more than a burst of single files has, and beyond it one scan is cheaper.
const MOST: usize = 4_096;

/// Something may have changed here.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Hint {
    /// A file or a folder, there or gone.
    pub(super) path: PathBuf,
    /// It was renamed to this path.
    pub(super) renamed: bool,
}

/// Hears of changes.
#[derive(Debug)]
pub(super) struct Notifier {
    eye: Eye,
    hints: mpsc::Receiver<Hint>,
}

/// Watches folders. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Eye(Arc<Mutex<RecommendedWatcher>>);

/// Why folders cannot be watched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Blind {
    pub(super) why: String,
    pub(super) hint: Option<String>,
}

impl Notifier {
    /// One that watches nothing yet; `lost` is told when hints were lost, so that all has to be
    /// looked at. Blocks shortly.
    pub(super) fn new(lost: Arc<Notify>) -> Result<Notifier, Blind> {
        let (sender, hints) = mpsc::channel(MOST);
        let handler = move |event: notify::Result<notify::Event>| {
            let Ok(event) = event else { return lost.notify_one() };
            if event.need_rescan() {
                return lost.notify_one();
            }
            let Some(renamed) = meaning(&event.kind) else { return };
            for path in event.paths {
                if let Err(mpsc::error::TrySendError::Full(_)) =
                    sender.try_send(Hint { path, renamed })
                {
                    lost.notify_one();
                }
            }
        };
        let watcher = RecommendedWatcher::new(handler, notify::Config::default());
        let eye = Eye(Arc::new(Mutex::new(watcher.map_err(|error| blind(&error))?)));
        Ok(Notifier { eye, hints })
    }

    /// For watching folders.
    pub(super) fn eye(&self) -> &Eye {
        &self.eye
    }

    /// The next hint. Cancel-safe.
    pub(super) async fn next(&mut self) -> Option<Hint> {
        self.hints.recv().await
    }

    /// A hint that is here already.
    pub(super) fn try_next(&mut self) -> Option<Hint> {
        self.hints.try_recv().ok()
    }
}

impl Eye {
    /// Watches this folder, not those below; once more does no harm. Blocks shortly. A folder that is
    /// gone again is no fault.
    pub(super) fn watch(&self, folder: &Path) -> Result<(), Blind> {
        let mut watcher = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match watcher.watch(folder, RecursiveMode::NonRecursive) {
            Err(error) if is_gone(&error) => Ok(()),
            watched => watched.map_err(|error| blind(&error)),
        }
    }
}

/// Whether an event matters, and is a rename to a new name. Reading, opening and writing do not: a
/// file that is being written is looked at when it is closed.
fn meaning(kind: &EventKind) -> Option<bool> {
    match kind {
        EventKind::Create(_)
        | EventKind::Remove(_)
        | EventKind::Modify(ModifyKind::Name(RenameMode::From | RenameMode::Any))
        | EventKind::Access(AccessKind::Close(AccessMode::Write)) => Some(false),
        EventKind::Modify(ModifyKind::Name(RenameMode::To)) => Some(true),
        // Other systems than Linux do not tell of a close.
        #[cfg(not(target_os = "linux"))]
        EventKind::Modify(ModifyKind::Data(_) | ModifyKind::Any) | EventKind::Any => Some(false),
        _ => None,
    }
}

fn is_gone(error: &notify::Error) -> bool {
    match &error.kind {
        ErrorKind::PathNotFound => true,
        ErrorKind::Io(error) => {
            matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
        }
        _ => false,
    }
}

/// In a person's words: which limit it is, and how it is raised.
fn blind(error: &notify::Error) -> Blind {
    let limit = |name: &str, value: u32, what: &str| Blind {
        why: format!("the system's limit `{name}` is used up: {what}"),
        hint: Some(format!(
            "raise it: sudo sysctl {name}={value}, and for good: echo {name}={value} | sudo tee \
             /etc/sysctl.d/60-imgrepo.conf"
        )),
    };
    match &error.kind {
        ErrorKind::MaxFilesWatch => limit(
            "fs.inotify.max_user_watches",
            1_048_576,
            "not every folder can be watched, so all are looked through from time to time",
        ),
        ErrorKind::Io(io) if io.raw_os_error() == Some(libc::EMFILE) => limit(
            "fs.inotify.max_user_instances",
            1_024,
            "no more folders can be watched, so this one is looked through from time to time",
        ),
        _ => Blind { why: format!("the system does not tell of changes: {error}"), hint: None },
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// The next hint of this name; the test fails where none comes.
    async fn hint(notifier: &mut Notifier, name: &str) -> Hint {
        let found = async {
            loop {
                let hint = notifier.next().await.unwrap();
                if hint.path.file_name().is_some_and(|is| is == name) {
                    return hint;
                }
            }
        };
        tokio::time::timeout(Duration::from_secs(10), found).await.unwrap()
    }

    #[tokio::test]
    async fn changes_are_hinted_at_and_those_below_are_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        std::fs::create_dir(path("below")).unwrap();
        std::fs::write(path("kept"), b"1").unwrap();
        let mut notifier = Notifier::new(Arc::default()).unwrap();
        notifier.eye().watch(folder.path()).unwrap();
        notifier.eye().watch(folder.path()).unwrap();
        notifier.eye().watch(&path("gone")).unwrap();
        std::fs::write(path("below/unheard"), b"1").unwrap();
        std::fs::write(path("a"), b"1").unwrap();
        assert!(!hint(&mut notifier, "a").await.renamed);
        std::fs::rename(path("a"), path("b")).unwrap();
        assert!(hint(&mut notifier, "b").await.renamed);
        std::fs::remove_file(path("b")).unwrap();
        assert!(!hint(&mut notifier, "b").await.renamed);
        // Reading is not a change.
        std::fs::read(path("kept")).unwrap();
        std::fs::write(path("c"), b"1").unwrap();
        let next = notifier.next().await.unwrap().path;
        assert!(next == path("c"), "{next:?}");
    }

    #[test]
    fn a_limit_is_named_with_how_to_raise_it() {
        let blind = blind(&notify::Error::new(ErrorKind::MaxFilesWatch));
        assert!(blind.why.contains("fs.inotify.max_user_watches"));
        assert!(blind.hint.unwrap().contains("sudo sysctl fs.inotify.max_user_watches="));
    }
}
