//! What a server acknowledged, and whether all of it still holds after it came back: nothing lost,
//! nothing half-written listed, no number skipped, no bytes without a record.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use imgrepo_proto::session::EventKind;
use imgrepo_proto::{BlobHash, ImageId, ImageRecord};

use crate::picture::Picture;
use crate::session::V2;

/// An upload whose SUCCESS was heard.
#[derive(Debug, Clone)]
struct Acknowledged {
    id: ImageId,
    name: String,
    uploader: String,
    hash: BlobHash,
}

/// All uploads whose SUCCESS was heard, over all lives of one repository.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    acknowledged: Mutex<Vec<Acknowledged>>,
    /// Images whose content was compared with their hash already.
    compared: Mutex<HashSet<ImageId>>,
}

impl Ledger {
    pub(crate) fn acknowledge(&self, id: ImageId, uploader: &str, picture: &Picture) {
        self.acknowledged.lock().unwrap_or_else(PoisonError::into_inner).push(Acknowledged {
            id,
            name: picture.name.clone(),
            uploader: uploader.to_owned(),
            hash: picture.hash,
        });
    }

    pub(crate) fn len(&self) -> usize {
        self.acknowledged.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Asks the server at `url` for all of it, and looks at its files. `partials` uploads may be
    /// under way, each with a part that is kept.
    pub(crate) async fn check(
        &self,
        url: &str,
        data: &Path,
        partials: usize,
    ) -> Result<(), String> {
        let session =
            V2::open(url, "checker").await.map_err(|end| format!("no session: {end:?}"))?;
        let listed = session.list().await.map_err(|end| format!("cannot list: {end:?}"))?;
        self.check_acknowledged(&listed)?;
        self.check_contents(&session, &listed).await?;
        check_history(&session, &listed).await?;
        check_files(data, &listed, partials)
    }

    fn check_acknowledged(&self, listed: &[ImageRecord]) -> Result<(), String> {
        let by_id: HashMap<ImageId, &ImageRecord> =
            listed.iter().map(|record| (record.id, record)).collect();
        for said in self.acknowledged.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            let fits = |record: &&ImageRecord| {
                record.name == said.name
                    && record.uploader == said.uploader
                    && record.hash == Some(said.hash)
            };
            if !by_id.get(&said.id).is_some_and(fits) {
                return Err(format!("`{}`, acknowledged as {}, is lost", said.name, said.id));
            }
        }
        Ok(())
    }

    async fn check_contents(&self, session: &V2, listed: &[ImageRecord]) -> Result<(), String> {
        for record in listed {
            if self.compared.lock().unwrap_or_else(PoisonError::into_inner).contains(&record.id) {
                continue;
            }
            let (hash, size) = session
                .download(record.id)
                .await
                .map_err(|end| format!("{} is listed and does not come: {end:?}", record.id))?;
            if record.hash != Some(hash) || record.size != Some(size) {
                return Err(format!("{} is listed and not whole: {size} bytes", record.id));
            }
            self.compared.lock().unwrap_or_else(PoisonError::into_inner).insert(record.id);
        }
        Ok(())
    }

    /// Forgets what was compared: the next check reads every content again.
    pub(crate) fn compare_again(&self) {
        self.compared.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

/// Every number from 1 on, in order, and each image exactly once.
async fn check_history(session: &V2, listed: &[ImageRecord]) -> Result<(), String> {
    let events = session.events().await.map_err(|end| format!("no events: {end:?}"))?;
    for (event, seq) in events.iter().zip(1..) {
        if event.seq.map(|seq| seq.0) != Some(seq) {
            return Err(format!("the history has {:?} where {seq} is due", event.seq));
        }
    }
    let told: Vec<ImageId> = events
        .iter()
        .filter(|event| event.event == EventKind::NewUpload)
        .filter_map(|event| event.image.as_ref().map(|record| record.id))
        .collect();
    let listed: Vec<ImageId> = listed.iter().map(|record| record.id).collect();
    if told != listed {
        return Err(format!("the history tells of {told:?}, the list of {listed:?}"));
    }
    Ok(())
}

/// The blobs are those of the records, and what is staged are the partials.
fn check_files(data: &Path, listed: &[ImageRecord], partials: usize) -> Result<(), String> {
    let kept: BTreeSet<String> = files(&data.join("blobs"))?.into_iter().collect();
    let meant: BTreeSet<String> =
        listed.iter().filter_map(|record| record.hash).map(|hash| hash.to_string()).collect();
    if let Some(garbage) = kept.difference(&meant).next() {
        return Err(format!("`{garbage}` among the blobs has no record"));
    }
    let staged = files(&data.join("staging"))?;
    if staged.len() > partials {
        return Err(format!("{partials} uploads are under way, and staged are {staged:?}"));
    }
    Ok(())
}

/// The names of all files below a directory.
fn files(directory: &Path) -> Result<Vec<String>, String> {
    let entries = std::fs::read_dir(directory)
        .map_err(|error| format!("cannot read {}: {error}", directory.display()))?;
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry.map_err(|error| error.to_string())?;
        if entry.path().is_dir() {
            names.extend(files(&entry.path())?);
        } else {
            names.push(entry.file_name().to_string_lossy().into_owned());
        }
    }
    Ok(names)
}
