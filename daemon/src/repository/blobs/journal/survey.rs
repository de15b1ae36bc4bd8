//! What is there of each content, damaged or not: what the check asks of the journal and of the places
//! together. Called by the store.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Write as _};
use std::path::Path;
use std::sync::Arc;

use imgrepo_proto::BlobHash;

use super::segment::{self, Extent, HEADER_BYTES};
use super::{Shared, Spot, State, lock, remove_file};
use crate::repository::blobs::anew::{self, Anew};
use crate::repository::blobs::files::read_exact_at;
use crate::repository::durable::{self, SyncPoint};

/// What is read of a damaged content at once, to be moved aside: a disk's sector.
const SALVAGED_BYTES: usize = 4096;

impl State {
    /// Bytes of a content that its segment's file has.
    fn bytes_there(&self, spot: &Spot) -> u64 {
        let segment = self.segments.get(&spot.segment);
        let len = segment.and_then(|segment| segment.file.metadata().ok()).map(|told| told.len());
        let bytes = u64::from(spot.extent.bytes);
        len.map_or(bytes, |len| len.saturating_sub(spot.extent.start).min(bytes))
    }
}

impl Shared {
    /// See [`super::BlobStore::sizes`].
    pub(super) fn sizes(&self, first_byte: u8) -> io::Result<Vec<(BlobHash, u64)>> {
        // As in `slice`. Of what is in both, the index has the one that is read.
        let journaled: Vec<(BlobHash, u64)> = {
            let state = lock(&self.state);
            let of_slice = state.index.iter().filter(|(hash, _)| hash.0[0] == first_byte);
            of_slice.map(|(hash, spot)| (*hash, state.bytes_there(spot))).collect()
        };
        let mut found: HashMap<BlobHash, u64> = self.files.sizes(first_byte)?.into_iter().collect();
        found.extend(journaled);
        let mut found = Vec::from_iter(found);
        found.sort_unstable();
        Ok(found)
    }

    /// See [`super::BlobStore::hash_anew`].
    pub(super) fn hash_anew(
        &self,
        hash: BlobHash,
        goes_on: &mut dyn FnMut(u64) -> bool,
    ) -> io::Result<Option<Anew>> {
        let spot = lock(&self.state).index.get(&hash).copied();
        if let Some(Spot { segment, extent: Extent { start, bytes } }) = spot {
            let path = self.path(segment);
            match anew::hash(&path, start, Some(u64::from(bytes)), goes_on) {
                // The segment went: all of it has come to its place.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                hashed => return hashed.map(Some),
            }
        }
        self.files.hash_anew(hash, goes_on)
    }

    /// See [`super::BlobStore::set_aside`].
    pub(super) fn set_aside(&self, hash: BlobHash, to: &Path) -> io::Result<bool> {
        let _places = lock(&self.places);
        let journaled = {
            let state = lock(&self.state);
            let spot = state.index.get(&hash).copied();
            spot.and_then(|spot| Some((spot, state.segments.get(&spot.segment)?.file.clone())))
        };
        let Some((spot, file)) = journaled else { return self.files.set_aside(hash, to) };
        let mut content = vec![0; spot.extent.bytes as usize];
        // What the disk does not give is zeros: the rest may still be of use to somebody.
        for (at, piece) in
            (spot.extent.start..).step_by(SALVAGED_BYTES).zip(content.chunks_mut(SALVAGED_BYTES))
        {
            if read_exact_at(&file, piece, at).is_err() {
                piece.fill(0);
            }
        }
        let written = write_whole(to, &content);
        if written.is_err() {
            remove_file(to);
        }
        written?;
        lock(&self.state).leave(hash, Some(spot));
        Ok(true)
    }

    /// The heads of the contents that wait: at the next start they say where each is.
    pub(super) fn inspect(&self) -> Vec<String> {
        let spots: Vec<(BlobHash, Spot, Arc<File>)> = {
            let state = lock(&self.state);
            let with_file = |(hash, spot): (&BlobHash, &Spot)| {
                Some((*hash, *spot, state.segments.get(&spot.segment)?.file.clone()))
            };
            state.index.iter().filter_map(with_file).collect()
        };
        let is_damaged = |(hash, spot, file): &(BlobHash, Spot, Arc<File>)| {
            let mut header = [0; HEADER_BYTES as usize];
            let read = read_exact_at(file, &mut header, spot.extent.start - HEADER_BYTES);
            read.is_err() || header != segment::header(hash, spot.extent.bytes)
        };
        let words = |(hash, spot, _): &(BlobHash, Spot, Arc<File>)| {
            format!("the head of content {hash} in the journal's file {} is damaged", spot.segment)
        };
        spots.iter().filter(|spot| is_damaged(spot)).map(words).collect()
    }
}

/// Writes a new file, for good.
fn write_whole(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut file = File::create_new(path)?;
    file.write_all(content)?;
    durable::sync_bytes(SyncPoint::Blob, &file)?;
    match path.parent() {
        Some(directory) => durable::sync_directory(SyncPoint::Layout, directory),
        None => Ok(()),
    }
}
