//! Opening a repository: in the order in which nothing is touched before everything below it is
//! known to be sound. Called once for each repository, by who starts the server.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{Semaphore, watch};

use super::appending::{Appender, Appends};
use super::backup;
use super::blobs::BlobStore;
use super::blobs::journal::DiskBlobs;
use super::blobs::lost::Lost;
use super::blobs::sound::SoundBlobs;
use super::catalog::sqlite::{SqliteCatalog, SqliteOptions};
use super::catalog::{Catalog, CatalogError, PersonKind};
use super::commit::{Committer, Sweep};
use super::durable::{self, SyncPoint};
use super::figures::Figures;
use super::latest::Latest;
use super::lock::{Before, Lock};
use super::pins::Pins;
use super::questions::Questions;
use super::queue::Queue;
use super::staging::{Room, Staging};
use super::variants::{SHOWN_BYTES, Variants};
use super::{
    Actor, IN_MEMORY_BYTES, Inner, LOCAL, Repository, Role, SWEEP_AT_OPEN, SYNCS_IN_FLIGHT,
    Settings,
};
use crate::database::DatabaseError;
use crate::host;

/// Why a repository cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has it open.
    #[error("cannot open the repository `{}`: another imgrepod has it open", data.display())]
    InUse {
        /// The directory.
        data: PathBuf,
    },
    /// There are contents, and nothing says whose.
    #[error(
        "cannot open the repository `{}`: it has contents but no catalog.db; bring that file back \
         from a backup, nothing was changed",
        data.display()
    )]
    CatalogMissing {
        /// The directory.
        data: PathBuf,
    },
    /// A restore has not come to its end.
    #[error(
        "cannot open the repository `{}`: it is being restored from a backup, and not all of it is \
         here; run `imgrepod restore` once more with the same folder",
        data.display()
    )]
    Unfinished {
        /// The directory.
        data: PathBuf,
    },
    /// The catalog's file cannot be used.
    #[error(transparent)]
    Catalog(#[from] DatabaseError),
    /// The catalog cannot be read or written.
    #[error("cannot open the repository `{}`: its catalog failed: {source}", data.display())]
    CatalogFailed {
        /// The directory.
        data: PathBuf,
        /// Why.
        source: CatalogError,
    },
    /// The disk.
    #[error("cannot open the repository `{}`: {source}", data.display())]
    Disk {
        /// The directory.
        data: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl Repository {
    /// Opens the repository in a directory, or makes one there. Blocks.
    ///
    /// # Errors
    /// See [`OpenError`]; nothing but an empty directory was made then.
    pub fn open(settings: Settings) -> Result<Repository, OpenError> {
        let data = settings.data.clone();
        let disk = |source| OpenError::Disk { data: data.clone(), source };
        let new_parents = make_directory(&data).map_err(disk)?;
        let Some((lock, before)) = Lock::take(&data).map_err(disk)? else {
            return Err(OpenError::InUse { data });
        };
        if backup::is_unfinished(&data) {
            return Err(OpenError::Unfinished { data });
        }
        let (blobs_path, journal_path) = (data.join("blobs"), data.join("journal"));
        let catalog_path = data.join("catalog.db");
        // A new catalog beside old contents would make all of them garbage.
        if !catalog_path.exists()
            && !DiskBlobs::is_empty(&blobs_path, &journal_path).map_err(disk)?
        {
            return Err(OpenError::CatalogMissing { data });
        }
        let catalog = Arc::new(SqliteCatalog::open(&catalog_path, &sqlite_options())?);
        let is_referenced = |hash| catalog.is_referenced(hash).map_err(io::Error::other);
        let reserve_bytes = settings.reserve_bytes;
        let blobs = DiskBlobs::open(&blobs_path, &journal_path, reserve_bytes, &is_referenced);
        let blobs = Arc::new(blobs.map_err(disk)?);
        let repository = build(catalog, blobs, settings, before, Some(lock))?;
        // After the first writes into the catalog, which make the last files of its own.
        durable::sync_directory(SyncPoint::Layout, &data).map_err(disk)?;
        for parent in new_parents {
            durable::sync_directory(SyncPoint::Layout, &parent).map_err(disk)?;
        }
        Ok(repository)
    }

    /// A repository of these parts; the directory of the settings takes uploads in progress alone.
    /// Blocks. The directory must be the caller's own.
    ///
    /// # Errors
    /// The disk's.
    pub fn with(
        catalog: Arc<dyn Catalog>,
        blobs: Arc<dyn BlobStore>,
        settings: Settings,
    ) -> Result<Repository, OpenError> {
        build(catalog, blobs, settings, Before { lengths_hold: false, closed_at: None }, None)
    }
}

#[cfg(feature = "mutants")]
fn sqlite_options() -> SqliteOptions {
    SqliteOptions { unsynced: durable::is_skipped(SyncPoint::Catalog) }
}

#[cfg(not(feature = "mutants"))]
fn sqlite_options() -> SqliteOptions {
    SqliteOptions::default()
}

/// A repository of these parts, with its threads.
fn build(
    catalog: Arc<dyn Catalog>,
    blobs: Arc<dyn BlobStore>,
    settings: Settings,
    before: Before,
    lock: Option<Lock>,
) -> Result<Repository, OpenError> {
    let data = settings.data.clone();
    let disk = |source| OpenError::Disk { data: data.clone(), source };
    let (repository, committer, appender) = assemble(catalog, blobs, settings, before, lock)?;
    // Both are joined by `Inner::close`.
    let thread = |name: &str| std::thread::Builder::new().name(name.to_owned());
    let running = thread("committer").spawn(move || committer.run()).map_err(disk)?;
    *repository.inner.committer.lock().unwrap_or_else(PoisonError::into_inner) = Some(running);
    let running = thread("appender").spawn(move || appender.run()).map_err(disk)?;
    *repository.inner.appender.lock().unwrap_or_else(PoisonError::into_inner) = Some(running);
    Ok(repository)
}

/// A repository of these parts, and what its threads are to do.
pub(super) fn assemble(
    catalog: Arc<dyn Catalog>,
    blobs: Arc<dyn BlobStore>,
    settings: Settings,
    before: Before,
    mut lock: Option<Lock>,
) -> Result<(Repository, Committer, Appender), OpenError> {
    let data = settings.data.clone();
    let disk = |source| OpenError::Disk { data: data.clone(), source };
    let failed = |source| OpenError::CatalogFailed { data: data.clone(), source };

    let lost = Lost::open(&data.join("damaged")).map_err(disk)?;
    let sound = Arc::new(SoundBlobs::new(blobs, lost));
    let blobs: Arc<dyn BlobStore> = sound.clone();
    let newest = catalog.newest_seq().map_err(failed)?;
    let now = host::now();
    let person = catalog.person(PersonKind::Owner, &settings.owner, now).map_err(failed)?;
    let owner = Actor {
        person,
        name: settings.owner.clone(),
        role: Role::Owner,
        device: None,
        from: LOCAL.to_owned(),
    };
    let room = Room {
        quota_bytes: settings.staging_quota_bytes,
        reserve_bytes: settings.reserve_bytes,
        sync_every_bytes: settings.staging_sync_bytes,
    };
    let staging = data.join("staging");
    let staging = Staging::open(&staging, before.lengths_hold, catalog.clone(), room, now);
    let staging = Arc::new(staging.map_err(disk)?);
    let pins = Arc::new(Pins::default());
    // Only an unclean end leaves blobs without a record. Most are found before the first session;
    // where there are very many blobs, the committer goes on looking while nobody waits.
    let sweep = (before.closed_at != Some(newest)).then(Sweep::new);
    let sweep = sweep.and_then(|mut sweep| {
        (!sweep.run_for(SWEEP_AT_OPEN, &*catalog, &*blobs, &pins)).then_some(sweep)
    });
    if let Some(lock) = &mut lock {
        lock.open().map_err(disk)?;
    }
    // Ended by `Inner::close`.
    let variants = Arc::new(Variants::open(&settings, &catalog, &blobs).map_err(disk)?);
    let queue = Arc::new(Queue::default());
    let figures = Arc::<Figures>::default();
    let (announce, announced) = watch::channel(newest);
    let latest = Arc::new(Latest::default());
    let committer = Committer {
        catalog: catalog.clone(),
        blobs: blobs.clone(),
        pins: pins.clone(),
        queue: queue.clone(),
        variants: variants.clone(),
        announced: announce,
        latest: latest.clone(),
        figures: figures.clone(),
        sweep,
        lock,
        is_clean: true,
    };
    let appends = Arc::new(Appends::default());
    let appender =
        Appender { blobs: blobs.clone(), appends: appends.clone(), queue: queue.clone() };
    let questions = Questions::start(&catalog).map_err(disk)?;
    let repository = Repository {
        inner: Arc::new(Inner {
            settings,
            owner,
            catalog,
            blobs,
            sound,
            staging,
            pins,
            queue,
            appends,
            questions,
            sealing: Arc::new(Semaphore::new(SYNCS_IN_FLIGHT)),
            in_memory: Arc::new(Semaphore::new(IN_MEMORY_BYTES)),
            announced,
            latest,
            people: watch::Sender::new(0),
            people_turn: Mutex::default(),
            coming: Arc::default(),
            variants,
            shown: Arc::new(Semaphore::new(SHOWN_BYTES)),
            figures,
            appender: Mutex::default(),
            committer: Mutex::default(),
        }),
    };
    Ok((repository, committer, appender))
}

/// Makes the directory, for its user alone, with what is missing above it; the parents of all that
/// is new.
pub(super) fn make_directory(data: &Path) -> io::Result<Vec<PathBuf>> {
    let is_missing = |directory: &&Path| !directory.as_os_str().is_empty() && !directory.exists();
    let missing = data.ancestors().take_while(is_missing);
    let parents = missing.filter_map(Path::parent).filter(|parent| !parent.as_os_str().is_empty());
    let parents = parents.map(Path::to_owned).collect();
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(data).map_err(|error| match error.kind() {
        // Also a link to a disk that is not there now.
        io::ErrorKind::AlreadyExists => {
            io::Error::new(io::ErrorKind::NotADirectory, "it is no folder, or a link to none")
        }
        _ => error,
    })?;
    Ok(parents)
}
