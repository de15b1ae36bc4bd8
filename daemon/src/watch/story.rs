//! What is to be said of one file beside its upload: `imgctl watch status FILE`.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use imgrepo_proto::control::queue::{QueuedUpload, UploadState};
use imgrepo_proto::control::watch::{After, FileStory, FolderState};
use imgrepo_proto::name::shown;
use tokio::task::spawn_blocking;

use crate::state::Folder;

use super::folder::Live;
use super::lease::Writer;
use super::probe::probe;
use super::reading::rules_of;
use super::root::{Entry, Found, Root};
use super::scan::{Place, Remarks};

/// Tells it.
pub(super) async fn tell(
    path: PathBuf,
    folders: Vec<(Folder, Live)>,
    upload: Option<QueuedUpload>,
    torn: Duration,
) -> FileStory {
    // Of a path that is watched by several memberships the one that is active tells.
    let above = folders.into_iter().filter(|(folder, _)| path.starts_with(&folder.path));
    let above = above.min_by_key(|(_, live)| live.state == FolderState::Elsewhere);
    let (seen, looked_at) = (path.clone(), above.clone());
    let told = upload.clone();
    let note = spawn_blocking(move || note(&seen, looked_at, told.as_ref(), torn)).await;
    FileStory {
        path,
        folder: above.map(|(folder, _)| folder.path),
        upload,
        note: note.ok().flatten(),
    }
}

fn note(
    path: &Path,
    above: Option<(Folder, Live)>,
    upload: Option<&QueuedUpload>,
    torn: Duration,
) -> Option<String> {
    let said = |text: &str| Some(text.to_owned());
    let Some((folder, live)) = above else {
        return said(match upload {
            Some(_) => "it is in no watched folder, and was queued by hand",
            None => "it is in no watched folder",
        });
    };
    let place = Place {
        id: folder.id,
        path: folder.path.clone(),
        identity: folder.root,
        keeps_inodes: true,
    };
    let root = match Root::open(&place.path, place.identity) {
        Found::Here(root) => root,
        Found::Vanished(why) => return Some(format!("its watched folder has vanished: {why}")),
    };
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else { return None };
    if path == place.path {
        return said("it is the watched folder itself");
    }
    let passed_over = |why: &dyn std::fmt::Display| Some(format!("it is passed over by {why}"));
    let rules = match rules_of(&root, &place, parent, &mut Remarks::default()) {
        Ok(Ok(rules)) => rules,
        Ok(Err((folder, rule))) => {
            let folder = shown(&folder.to_string_lossy());
            return Some(format!("it is in `{folder}`, which is passed over by {rule}"));
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => return said("it is not there"),
        Err(error) => return Some(format!("its folder cannot be looked into: {error}")),
    };
    let Ok(inside) = root.folder(parent) else { return said("it is not there") };
    match inside.entry(name) {
        Err(error) => return Some(format!("it cannot be looked at: {error}")),
        // Where to is said with its upload.
        Ok(None) if upload.is_some_and(|upload| upload.moved_to.is_some()) => return None,
        Ok(None) if upload.is_some() && folder.after == After::Trash => {
            return said("it is not there any more: files of this folder go to the trash");
        }
        Ok(None) => return said("it is not there"),
        Ok(Some(Entry::Other(what))) => {
            return Some(format!("it is {what}: only files are uploaded"));
        }
        Ok(Some(Entry::Folder)) => {
            if let Some(rule) = rules.passes_over(path, true) {
                return passed_over(&rule);
            }
            return said("it is a folder, which is watched with all that is in it");
        }
        Ok(Some(Entry::File(stamp))) => {
            if let Some(rule) = rules.passes_over(path, false) {
                return passed_over(&rule);
            }
            let is_settling = upload.is_some_and(|upload| upload.state == UploadState::Settling);
            match is_settling.then(|| probe(&inside, name, stamp)).flatten() {
                Some(probe) if probe.writer == Writer::Some => {
                    return said(
                        "a program has it open for writing: it is taken when that closes it",
                    );
                }
                Some(probe) if probe.torn => {
                    let minutes = match torn.as_secs() / 60 {
                        1 => "a minute".to_owned(),
                        minutes => format!("{minutes} minutes"),
                    };
                    return Some(format!(
                        "its end is missing: it is taken when it is whole, or after {minutes} \
                         without a change"
                    ));
                }
                _ => {}
            }
        }
    }
    match live.state {
        FolderState::Paused => said("its watched folder is paused"),
        FolderState::Elsewhere => live.why,
        // A folder that cannot be looked through says why.
        FolderState::Scanning if upload.is_none() && live.why.is_some() => live.why,
        _ if upload.is_none() => said("it was not looked at yet: imgctl watch rescan"),
        _ => None,
    }
}
