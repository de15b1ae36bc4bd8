//! What is behind hints: a blocking look at the files and folders that they name, one folder after
//! the other. Called by the folder's task, which decides what follows.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::probe::{Probe, probe};
use super::reading::rules_of;
use super::root::{Entry, Root};
use super::rules;
use super::scan::{Place, Remarks, Stopped, is_gone};

/// What was found.
#[derive(Debug, Default)]
pub(super) struct Looked {
    /// Files, each with its folder; true for those that were renamed to their name.
    pub(super) probes: Vec<(PathBuf, Probe, bool)>,
    /// Where no file is.
    pub(super) gone: Vec<PathBuf>,
    /// Folders that have to be looked through, none of them within another.
    pub(super) folders: Vec<PathBuf>,
    /// What the rules pass over, and so is not known; or what could not be looked at, and is left to
    /// a scan.
    pub(super) passed: Vec<PathBuf>,
}

/// Looks at these; true for those that were renamed to their name. Blocks.
pub(super) fn look_at(place: &Place, hints: &BTreeMap<PathBuf, bool>) -> Result<Looked, Stopped> {
    let root = place.open()?;
    let mut looked = Looked::default();
    let mut by_folder: BTreeMap<&Path, Vec<(&Path, bool)>> = BTreeMap::new();
    for (path, renamed) in hints {
        // The folder itself was opened just now.
        if let Some(folder) = path.parent().filter(|folder| folder.starts_with(&place.path)) {
            by_folder.entry(folder).or_default().push((path, *renamed));
        }
    }
    for (folder, hints) in by_folder {
        look_in(place, &root, folder, &hints, &mut looked);
    }
    // Sorted by path, a folder comes right before what is in it.
    looked.folders.sort();
    looked.folders.dedup_by(|below, above| below.starts_with(&*above));
    Ok(looked)
}

fn look_in(place: &Place, root: &Root, path: &Path, hints: &[(&Path, bool)], looked: &mut Looked) {
    let paths = || hints.iter().map(|(path, _)| (*path).to_owned());
    // What is wrong with the rules a scan says.
    let mut remarks = Remarks::default();
    let opened = rules_of(root, place, path, &mut remarks);
    let opened = opened.and_then(|rules| Ok((rules, root.folder(path)?)));
    let (rules, folder) = match opened {
        Ok((Ok(rules), folder)) => (rules, folder),
        Ok((Err(_), _)) => return looked.passed.extend(paths()),
        Err(error) if is_gone(&error) => return looked.gone.extend(paths()),
        Err(error) => {
            tracing::debug!(%error, "cannot look into `{}`", path.display());
            return looked.passed.extend(paths());
        }
    };
    for (path, renamed) in hints {
        let Some(name) = path.file_name() else { continue };
        if name == rules::FILE {
            // What the rules passed over may be taken now, and the other way round.
            looked.folders.push(folder.path().to_owned());
            continue;
        }
        let path = (*path).to_owned();
        let is_passed_over = |is_folder| rules.passes_over(&path, is_folder).is_some();
        match folder.entry(name) {
            Err(_) => looked.passed.push(path),
            Ok(None | Some(Entry::Other(_))) => looked.gone.push(path),
            Ok(Some(Entry::Folder)) if is_passed_over(true) => looked.passed.push(path),
            Ok(Some(Entry::Folder)) => looked.folders.push(path),
            Ok(Some(Entry::File(_))) if is_passed_over(false) => looked.passed.push(path),
            Ok(Some(Entry::File(stamp))) => match probe(&folder, name, stamp) {
                Some(probe) => {
                    looked.probes.push((folder.path().to_owned(), probe, *renamed));
                }
                None => looked.passed.push(path),
            },
        }
    }
}
