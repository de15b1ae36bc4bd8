//! The server's disk: what a crash leaves of it is decided here. The catalog and the blobs keep what
//! they said is kept; of uploads in progress the end of the process leaves all, the end of the power
//! what was synced, and of the rest anything.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::{self, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use imgrepo_proto::{BlobHash, RepositoryId};
use imgrepod::repository::blobs::memory::MemoryBlobs;
use imgrepod::repository::blobs::{Anew, Blob, BlobStore};
use imgrepod::repository::catalog::Catalog as _;
use imgrepod::repository::catalog::memory::MemoryCatalog;

use crate::chance::Chance;
use crate::trace::Trace;

/// What a disk says to be synced and does not sync.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lie {
    /// Contents that are appended.
    Append,
    /// Contents that are placed.
    Place,
    /// What the catalog commits.
    Commit,
    /// The beginnings of uploads.
    Partial,
}

impl Lie {
    pub(crate) const ALL: [Lie; 4] = [Lie::Append, Lie::Place, Lie::Commit, Lie::Partial];
}

/// What was written so long before the power goes is on the disk, synced or not.
const UNSYNCED_MS: u64 = 2_000;

/// How the server ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Crash {
    /// Its process is killed.
    Kill,
    /// The power goes.
    Power,
}

pub(crate) struct Disk {
    pub(crate) catalog: Arc<MemoryCatalog>,
    pub(crate) blobs: Arc<Blobs>,
    lie: Option<Lie>,
    /// What the catalog was at some moments, where it lies.
    before: Vec<(u64, MemoryCatalog)>,
    root: PathBuf,
    starts: u32,
    chance: Chance,
    trace: Trace,
}

impl Disk {
    pub(crate) fn new(root: PathBuf, lie: Option<Lie>, mut chance: Chance, trace: Trace) -> Disk {
        let catalog = Arc::new(MemoryCatalog::new(RepositoryId("simulated".to_owned())));
        let blobs = Arc::new(Blobs::new(MemoryBlobs::new(), chance.branch(), false, trace.clone()));
        fs::create_dir_all(root.join("0")).unwrap();
        Disk { catalog, blobs, lie, before: Vec::new(), root, starts: 0, chance, trace }
    }

    /// The data directory as it is at this start.
    pub(crate) fn data(&self) -> PathBuf {
        self.root.join(self.starts.to_string())
    }

    /// From now on it fails now and then.
    pub(crate) fn set_failing(&self, fails: bool) {
        self.blobs.fails.store(fails, Ordering::Relaxed);
    }

    /// What is left. Who still has the old parts writes to nobody any more.
    pub(crate) fn crash(&mut self, crash: Crash) {
        let before = self.data();
        self.starts += 1;
        let data = self.data();
        fs::rename(before, &data).unwrap();
        self.catalog = Arc::new(self.catalog.copy());
        let fails = self.blobs.fails.load(Ordering::Relaxed);
        let kept = self.blobs.kept.copy();
        if crash == Crash::Power {
            self.lose(&kept);
        }
        self.blobs = Arc::new(Blobs::new(kept, self.chance.branch(), fails, self.trace.clone()));
        if crash == Crash::Power {
            self.tear(&data.join("staging"));
        }
    }

    /// The catalog is about to be written.
    pub(crate) fn note(&mut self) {
        if self.lie == Some(Lie::Commit) {
            self.before.push((self.trace.now_ms(), self.catalog.copy()));
        }
    }

    /// What a lie costs.
    fn lose(&mut self, kept: &MemoryBlobs) {
        let since = self.trace.now_ms().saturating_sub(UNSYNCED_MS);
        let is_lost = |(at, is_placed, _): &&(u64, bool, BlobHash)| {
            let lie = if *is_placed { Lie::Place } else { Lie::Append };
            *at >= since && self.lie == Some(lie)
        };
        let written = self.blobs.written.lock().unwrap();
        for (_, _, hash) in written.iter().filter(is_lost) {
            kept.remove(*hash).unwrap();
        }
        drop(written);
        if let Some(at) = self.before.iter().position(|(at, _)| *at >= since) {
            self.catalog = Arc::new(self.before.swap_remove(at).1);
        }
        self.before.clear();
    }

    fn tear(&mut self, staging: &Path) {
        let partials = self.catalog.partials().unwrap();
        let synced: BTreeMap<String, u64> = partials
            .iter()
            .map(|it| (format!("{}-{}-{}", it.person.0, it.size_bytes, it.hash), it.synced_bytes))
            .collect();
        let Ok(entries) = fs::read_dir(staging) else { return };
        let mut names: Vec<String> =
            entries.map(|it| it.unwrap().file_name().into_string().unwrap()).collect();
        names.sort_unstable();
        for name in &names {
            let path = staging.join(name);
            let is_whole = |name: &str| name.ends_with(".whole");
            if is_whole(name) {
                // Its bytes were synced before it got this name, which was not.
                if self.chance.one_in(2) {
                    self.trace.say(format_args!("disk: {name} is lost"));
                    fs::remove_file(&path).unwrap();
                }
                continue;
            }
            if names.contains(&format!("{name}.whole")) {
                continue;
            }
            let stem = name.rsplit_once('.').map_or(name.as_str(), |(stem, _)| stem);
            let kept = synced.get(stem).copied().unwrap_or(0);
            let length = fs::metadata(&path).unwrap().len();
            if kept == 0 && self.chance.one_in(3) {
                self.trace.say(format_args!("disk: {stem} is lost"));
                fs::remove_file(&path).unwrap();
                continue;
            }
            let kept = kept.min(length);
            let left = self.chance.among(kept..length + 1);
            let kept = if self.lie == Some(Lie::Partial) { 0 } else { kept };
            let mut file = OpenOptions::new().write(true).open(&path).unwrap();
            // What was written last may be a length without its bytes.
            let torn = self.chance.among(kept..left + 1);
            file.set_len(left).unwrap();
            file.seek(SeekFrom::Start(torn)).unwrap();
            file.write_all(&vec![0; (left - torn) as usize]).unwrap();
            self.trace.say(format_args!("disk: {stem} of {length} keeps {left}, torn at {torn}"));
        }
    }
}

/// The contents, on a disk that may fail.
pub(crate) struct Blobs {
    pub(crate) kept: MemoryBlobs,
    /// When which contents were written, and whether they were placed.
    written: Mutex<Vec<(u64, bool, BlobHash)>>,
    chance: Mutex<Chance>,
    fails: AtomicBool,
    trace: Trace,
}

impl Blobs {
    fn new(kept: MemoryBlobs, chance: Chance, fails: bool, trace: Trace) -> Blobs {
        let (chance, fails) = (Mutex::new(chance), AtomicBool::new(fails));
        Blobs { kept, written: Mutex::default(), chance, fails, trace }
    }

    fn fails(&self) -> bool {
        self.fails.load(Ordering::Relaxed) && self.chance.lock().unwrap().one_in(5)
    }

    fn by_chance(&self) -> bool {
        self.chance.lock().unwrap().one_in(2)
    }
}

fn fault() -> io::Error {
    io::ErrorKind::StorageFull.into()
}

impl BlobStore for Blobs {
    fn place(&self, hash: BlobHash, staged: &Path) -> io::Result<()> {
        let fails = self.fails();
        if !fails || self.by_chance() {
            self.kept.place(hash, staged)?;
            self.written.lock().unwrap().push((self.trace.now_ms(), true, hash));
        }
        if fails { Err(fault()) } else { Ok(()) }
    }

    fn append(&self, contents: &[(BlobHash, Bytes)]) -> io::Result<()> {
        let fails = self.fails();
        for content in contents {
            if !fails || self.by_chance() {
                self.kept.append(std::slice::from_ref(content))?;
                self.written.lock().unwrap().push((self.trace.now_ms(), false, content.0));
            }
        }
        if fails { Err(fault()) } else { Ok(()) }
    }

    fn wants_appends(&self) -> bool {
        !self.fails.load(Ordering::Relaxed) || self.by_chance()
    }

    fn open(&self, hash: BlobHash) -> io::Result<Option<Arc<dyn Blob>>> {
        self.kept.open(hash)
    }

    fn remove(&self, hash: BlobHash) -> io::Result<()> {
        self.kept.remove(hash)
    }

    fn slice(&self, first_byte: u8) -> io::Result<Vec<BlobHash>> {
        self.kept.slice(first_byte)
    }

    fn sizes(&self, first_byte: u8) -> io::Result<Vec<(BlobHash, u64)>> {
        self.kept.sizes(first_byte)
    }

    fn hash_anew(
        &self,
        hash: BlobHash,
        goes_on: &mut dyn FnMut(u64) -> bool,
    ) -> io::Result<Option<Anew>> {
        self.kept.hash_anew(hash, goes_on)
    }

    fn set_aside(&self, hash: BlobHash, to: &Path) -> io::Result<bool> {
        self.kept.set_aside(hash, to)
    }
}
