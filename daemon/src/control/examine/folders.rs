//! How each watched folder is.

use imgrepo_proto::control::finding::{Finding, FindingState};
use imgrepo_proto::control::watch::{FolderState, FolderStatus};

pub(super) fn findings(folders: &[FolderStatus]) -> Vec<Finding> {
    folders.iter().map(of_folder).collect()
}

fn of_folder(folder: &FolderStatus) -> Finding {
    let kind = folder.file_system.as_ref().map(|kind| format!(" ({kind})")).unwrap_or_default();
    let path = folder.path.display().to_string();
    let (state, how, fix) = match folder.state {
        FolderState::Watching => (FindingState::Ok, "is watched", None),
        // One that could be looked through says nothing beside.
        FolderState::Scanning if folder.why.is_some() => {
            (FindingState::Problem, "cannot be looked through", None)
        }
        FolderState::Scanning => (FindingState::Ok, "is being looked through", None),
        FolderState::Polling => (FindingState::Warning, "is looked at from time to time", None),
        FolderState::Paused => {
            (FindingState::Warning, "is paused", Some(format!("imgctl watch resume '{path}'")))
        }
        FolderState::Vanished => (
            FindingState::Problem,
            "has vanished",
            Some(format!("mount it again; if it is gone for good: imgctl watch rm '{path}'")),
        ),
        FolderState::Elsewhere => {
            (FindingState::Warning, "waits", Some("imgctl connect to that one".to_owned()))
        }
    };
    let why = folder.why.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
    let mut message = format!("`{path}`{kind} {how}{why}");
    let mut hint = folder.hint.clone().or(fix);
    let mut state = state;
    let faults = folder.counts.faults();
    if faults > 0 {
        message.push_str(&format!("; {faults} of its files could not be stored"));
        hint.get_or_insert_with(|| "see why: imgctl queue ls".to_owned());
        state = state.max(FindingState::Warning);
    }
    Finding::new("folder", state, message, hint)
}

#[cfg(test)]
mod tests {
    use imgrepo_proto::control::queue::Counts;
    use imgrepo_proto::control::watch::After;

    use super::*;

    #[test]
    fn each_folder_says_its_kind_and_what_to_do() {
        let folder = |state| FolderStatus {
            path: "/f".into(),
            after: After::Keep,
            state,
            why: None,
            hint: None,
            file_system: Some("ext4".to_owned()),
            scanned_at: None,
            counts: Counts::default(),
            problems: Vec::new(),
        };
        let told = of_folder(&folder(FolderState::Watching));
        assert_eq!((told.state, &*told.message), (FindingState::Ok, "`/f` (ext4) is watched"));
        let mut refused = folder(FolderState::Watching);
        refused.counts.refused = 2;
        let told = of_folder(&refused);
        assert_eq!(told.state, FindingState::Warning);
        assert_eq!(told.hint.as_deref(), Some("see why: imgctl queue ls"));
        let mut polled = folder(FolderState::Polling);
        polled.why = Some("no watches are left".to_owned());
        polled.hint = Some("raise it".to_owned());
        polled.counts.failed = 1;
        let told = of_folder(&polled);
        assert!(told.message.contains("from time to time: no watches are left; 1 of"));
        assert_eq!(told.hint.as_deref(), Some("raise it"));
        assert_eq!(of_folder(&folder(FolderState::Vanished)).state, FindingState::Problem);
        assert_eq!(of_folder(&folder(FolderState::Scanning)).state, FindingState::Ok);
        let mut full = folder(FolderState::Scanning);
        full.why = Some("no room is left".to_owned());
        let told = of_folder(&full);
        assert_eq!(told.state, FindingState::Problem);
        assert_eq!(told.message, "`/f` (ext4) cannot be looked through: no room is left");
    }
}
