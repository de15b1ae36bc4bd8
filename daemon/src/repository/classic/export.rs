//! A repository's listed images as an old server's folder: the images first, each checked against its
//! hash, `metadata.json` last, when all else is on the disk. A folder without that file is none.

use std::fs::{self, File};
use std::io::{self, BufRead as _, BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures_util::StreamExt as _;
use imgrepo_proto::name::{file_name, shown};
use imgrepo_proto::session::command::Sort;
use imgrepo_proto::{ErrorCode, ImageRecord, Refusal};
use jiff::tz::TimeZone;
use serde_json::value::RawValue;

use super::metadata::Line;
use super::{ExportSummary, IMAGES, LeftOut, METADATA, Told, file_error, timestamp};
use crate::repository::blobs::{Blob, Reader};
use crate::repository::catalog::PageQuery;
use crate::repository::picture::thumbnail;
use crate::repository::{Inner, Repository, faults};

/// Images that are written at the same time: each may have a picture of 128 MiB decoded.
const AT_ONCE: usize = 2;

/// Records that are read from the catalog at once.
const PAGE: u32 = 500;

/// An image that was written: its line, and whether it has a thumbnail.
struct Written {
    line: String,
    has_thumbnail: bool,
}

impl Repository {
    /// Writes the listed images as a folder that the old server runs on: in the order of their
    /// numbers, with the timestamps that they were imported with, and else the local time of `zone`.
    /// The folder must be empty or not there. Small copies are made of what is decoded here; else
    /// `thumb_path` is null.
    ///
    /// # Errors
    /// `conflict` where the folder has something in it; a full disk; faults of the repository. What
    /// was written by then stays, without `metadata.json`.
    pub async fn export_classic(
        &self,
        folder: &Path,
        zone: &TimeZone,
        tell: &mut dyn FnMut(Told<'_>),
    ) -> Result<ExportSummary, Refusal> {
        let images = Arc::new(folder.join(IMAGES));
        let path = folder.to_owned();
        let mut list = self.hop(move |_| List::begin(path)).await?;
        let mut summary = ExportSummary::default();
        let mut done = 0;
        let mut query = PageQuery { sort: Sort::Oldest, limit: PAGE, ..PageQuery::default() };
        loop {
            let asked = query.clone();
            let page = self.hop(move |inner| {
                inner.catalog.page(&asked).map_err(|error| faults::catalog(&error))?
            });
            let page = page.await?;
            let write = |record: ImageRecord| {
                let images = images.clone();
                async move { (record.id, self.export_one(record, images, zone).await) }
            };
            let mut all = futures_util::stream::iter(page.images).map(write).buffered(AT_ONCE);
            while let Some((id, outcome)) = all.next().await {
                match outcome {
                    Ok(written) => {
                        list = self.hop(move |_| list.add(&written.line)).await?;
                        summary.exported += 1;
                        summary.without_thumbnail += usize::from(!written.has_thumbnail);
                    }
                    Err(error) if error.code == ErrorCode::Internal => {
                        let left_out = LeftOut { entry: None, number: Some(id.0), error };
                        tell(Told::LeftOut(&left_out));
                        summary.left_out.push(left_out);
                    }
                    Err(refusal) => return Err(refusal),
                }
                done += 1;
                tell(Told::Progress { done, total: page.total });
            }
            match page.next {
                Some(next) => query.cursor = Some(next),
                None => break,
            }
        }
        self.hop(move |_| list.finish()).await?;
        Ok(summary)
    }

    /// Writes one image's files.
    async fn export_one(
        &self,
        record: ImageRecord,
        images: Arc<PathBuf>,
        zone: &TimeZone,
    ) -> Result<Written, Refusal> {
        let id = record.id;
        let file = file_name(&format!("{id}_{}", record.name));
        let small = file_name(&format!("thumb_{id}_{}", record.name));
        let path = images.join(&file);
        let copied = record.clone();
        let (blob, told) = self.hop(move |inner| copy(inner, &copied, &path)).await?;
        let made = tokio::task::spawn_blocking(move || thumbnail::thumbnail(Reader::new(blob)));
        let thumbnail = match made.await {
            Ok(thumbnail) => thumbnail,
            Err(error) => {
                tracing::warn!(image = %id, %error, "the decoder failed");
                None
            }
        };
        let has_thumbnail = thumbnail.is_some();
        if let Some(bytes) = thumbnail {
            let path = images.join(&small);
            self.hop(move |_| write(&path, |file| file.write_all(&bytes))).await?;
        }
        let told = told.or_else(|| Some(timestamp::write(record.uploaded_at?, zone)));
        let timestamp = RawValue::from_string(told.unwrap_or_else(|| "null".to_owned()));
        let thumb_path = has_thumbnail.then(|| format!("{IMAGES}/{small}"));
        let line = Line {
            id: id.0,
            filename: &record.name,
            uploader: &record.uploader,
            path: &format!("{IMAGES}/{file}"),
            thumb_path: thumb_path.as_deref(),
            timestamp: timestamp.map_err(|error| faults::internal(&error))?,
        };
        let line = line.encode().map_err(|error| faults::internal(&error))?;
        Ok(Written { line, has_thumbnail })
    }
}

/// Copies an image's content to a new file; its blob, and the timestamp that it was imported with.
fn copy(
    inner: &Inner,
    record: &ImageRecord,
    path: &Path,
) -> Result<(Arc<dyn Blob>, Option<String>), Refusal> {
    let damaged = |why: &dyn std::fmt::Display| {
        let name = shown(&record.name);
        tracing::error!(image = %record.id, "cannot export a content: {why}");
        Refusal::new(ErrorCode::Internal, format!("cannot export `{name}`: its content {why}"))
    };
    let told = inner.catalog.imported_timestamp(record.id);
    let told = told.map_err(|error| faults::catalog(&error))?;
    let Some(hash) = record.hash else { return Err(damaged(&"has no hash")) };
    let blob = match inner.blobs.open(hash) {
        Ok(Some(blob)) => blob,
        Ok(None) => return Err(damaged(&"is missing")),
        Err(error) => return Err(damaged(&format!("cannot be read: {error}"))),
    };
    let mut hasher = blake3::Hasher::new();
    let mut reader = Reader::new(blob.clone());
    let mut broken = None;
    write(path, |file| {
        loop {
            let piece = match reader.fill_buf() {
                Ok([]) => return Ok(()),
                Ok(piece) => piece,
                Err(error) => {
                    broken = Some(error);
                    return Ok(());
                }
            };
            hasher.update(piece);
            file.write_all(piece)?;
            let len = piece.len();
            reader.consume(len);
        }
    })?;
    let why = match broken {
        Some(error) => format!("cannot be read: {error}"),
        None if hasher.finalize().as_bytes() != &hash.0 => "is damaged".to_owned(),
        None => return Ok((blob, told)),
    };
    fs::remove_file(path).map_err(|error| failed("remove", path, &error))?;
    Err(damaged(&why))
}

/// Writes a new file.
fn write(path: &Path, fill: impl FnOnce(&mut File) -> io::Result<()>) -> Result<(), Refusal> {
    let written = File::create_new(path).and_then(|mut file| {
        fill(&mut file)?;
        // Where the whole disk is synced at the end, one by one would only be slow.
        if cfg!(target_os = "linux") { Ok(()) } else { file.sync_all() }
    });
    written.map_err(|error| failed("write", path, &error))
}

/// A fault of the disk that is written to, which no image is the cause of.
fn failed(act: &str, path: &Path, error: &io::Error) -> Refusal {
    let refusal = file_error(act, path, error);
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            Refusal { code: ErrorCode::StorageFull, ..refusal }
        }
        _ => refusal,
    }
}

/// The catalog of an export while it is written, under another name until it is whole.
struct List {
    folder: PathBuf,
    file: BufWriter<File>,
    is_empty: bool,
}

impl List {
    fn begin(folder: PathBuf) -> Result<List, Refusal> {
        let failed = |error: io::Error| failed("make the folder", &folder, &error);
        fs::create_dir_all(&folder).map_err(failed)?;
        if fs::read_dir(&folder).map_err(failed)?.next().is_some() {
            let folder = shown(&folder.to_string_lossy());
            return Err(Refusal::new(
                ErrorCode::Conflict,
                format!("cannot export to `{folder}`: the folder is not empty"),
            )
            .hint("name one that is empty, or that is not there yet"));
        }
        fs::create_dir(folder.join(IMAGES)).map_err(failed)?;
        let file = File::create_new(folder.join(Self::UNFINISHED)).map_err(failed)?;
        let mut list = List { folder, file: BufWriter::new(file), is_empty: true };
        list.write(b"[")?;
        Ok(list)
    }

    const UNFINISHED: &str = "metadata.json.part";

    fn write(&mut self, bytes: &[u8]) -> Result<(), Refusal> {
        let written = self.file.write_all(bytes);
        written.map_err(|error| failed("write", &self.folder.join(Self::UNFINISHED), &error))
    }

    fn add(mut self, line: &str) -> Result<List, Refusal> {
        let before: &[u8] = if self.is_empty { b"\n" } else { b",\n" };
        self.is_empty = false;
        self.write(before)?;
        self.write(line.as_bytes())?;
        Ok(self)
    }

    /// Gives it its name, once all of the folder is on the disk.
    fn finish(mut self) -> Result<(), Refusal> {
        self.write(b"\n]\n")?;
        let List { folder, file, .. } = self;
        let (from, to) = (folder.join(Self::UNFINISHED), folder.join(METADATA));
        let end = || -> io::Result<()> {
            let file = file.into_inner().map_err(io::IntoInnerError::into_error)?;
            file.sync_all()?;
            // All the images, of this disk, with one call.
            #[cfg(target_os = "linux")]
            rustix::fs::syncfs(&file)?;
            File::open(folder.join(IMAGES))?.sync_all()?;
            fs::rename(&from, &to)?;
            File::open(&folder)?.sync_all()?;
            if let Some(parent) = folder.parent().filter(|parent| !parent.as_os_str().is_empty()) {
                File::open(parent)?.sync_all()?;
            }
            Ok(())
        };
        end().map_err(|error| failed("write", &to, &error))
    }
}
