//! An old folder into a repository, entry by entry, by the way that every upload takes: some are read
//! ahead, records are proposed in order, and those that wait share their commits.
//!
//! An entry that came once is recognised (see [`Imported`]), so an import that was cut short anywhere
//! is simply run again.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Read as _, Seek as _};
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use futures_util::StreamExt as _;
use imgrepo_proto::session::command::Upload;
use imgrepo_proto::session::reply::UploadReply;
use imgrepo_proto::{BlobHash, ErrorCode, ImageId, Refusal};
use jiff::Timestamp;
use tokio::sync::oneshot;

use super::metadata::Entry;
use super::{Folder, ImportSummary, LeftOut, Renumbered, Told, plan};
use crate::repository::announced::{Wanted, check};
use crate::repository::blobs::APPENDED_BYTES;
use crate::repository::catalog::{Again, Imported, PersonKind};
use crate::repository::people::{Actor, LOCAL, Role};
use crate::repository::queue::{Answer, GROUP};
use crate::repository::{Inner, Receiving, Repository, faults};

/// Entries whose files are read and synced at the same time.
const AHEAD: usize = 8;

/// Bytes of a file that are read at once.
const PIECE_BYTES: usize = 1024 * 1024;

type Outcome = oneshot::Receiver<Result<UploadReply, Refusal>>;

/// What a look at an entry found.
enum Looked {
    /// Its image is here.
    Present(ImageId),
    /// It is to be stored; the content too, where it is small.
    New(Box<Wanted>, File, Option<Bytes>),
}

/// An entry whose content was read.
enum Received {
    /// Its image is here.
    Present(ImageId),
    /// Its record can be proposed.
    Ready(Box<Receiving>, Outcome),
    /// It is being answered without its content.
    Answered(Outcome),
}

impl Repository {
    /// Takes over an old server's images: under their numbers where those are free, with their names,
    /// times and uploaders (as people who were imported: nobody who comes later becomes them by a
    /// name). Followers hear of each. What cannot be taken is left out and told.
    ///
    /// # Errors
    /// What keeps all the rest from being taken: a full disk, a fault of the repository. What was
    /// taken before stays.
    pub async fn import_classic(
        &self,
        folder: Folder,
        tell: &mut dyn FnMut(Told<'_>),
    ) -> Result<ImportSummary, Refusal> {
        let folder = Arc::new(folder);
        let mut tally = Tally { folder: &folder, done: 0, summary: ImportSummary::default(), tell };
        for (at, entry) in folder.entries.iter().enumerate() {
            if let Err(damaged) = entry {
                tally.leave_out(at, damaged.number, damaged.error.clone());
            }
        }
        let order = self.order(&folder).await?;
        let receive = |at| {
            let folder = folder.clone();
            async move { (at, self.receive(folder, at).await) }
        };
        let mut received = futures_util::stream::iter(order).map(receive).buffered(AHEAD);
        // Entries whose records wait for their commits, oldest first.
        let mut waiting: VecDeque<(usize, Outcome)> = VecDeque::new();
        while let Some((at, outcome)) = received.next().await {
            match outcome {
                Ok(Received::Present(image)) => tally.is_here(at, image, true),
                Ok(Received::Ready(receiving, told)) => {
                    receiving.finish().await;
                    waiting.push_back((at, told));
                }
                Ok(Received::Answered(told)) => waiting.push_back((at, told)),
                Err(refusal) => tally.refused(at, refusal)?,
            }
            if waiting.len() >= GROUP
                && let Some((at, told)) = waiting.pop_front()
            {
                tally.answered(at, told.await)?;
            }
        }
        for (at, told) in waiting {
            tally.answered(at, told.await)?;
        }
        Ok(tally.summary)
    }

    /// The places of the entries that make sense, as they are to be imported.
    async fn order(&self, folder: &Arc<Folder>) -> Result<Vec<usize>, Refusal> {
        let folder = folder.clone();
        self.hop(move |inner| {
            let sound = folder.entries.iter().enumerate();
            let sound = sound.filter_map(|(at, entry)| Some((at, entry.as_ref().ok()?.number)));
            let (places, numbers): (Vec<usize>, Vec<u64>) = sound.unzip();
            // Where the catalog fails, the first entry says so.
            let is_free = |number| matches!(inner.catalog.image(ImageId(number)), Ok(None));
            Ok(plan::order(&numbers, is_free).into_iter().map(|at| places[at]).collect())
        })
        .await
    }

    /// Reads an entry's content into the repository, unless its image is here.
    async fn receive(&self, folder: Arc<Folder>, at: usize) -> Result<Received, Refusal> {
        let looked = self.hop(move |inner| {
            let Some(Ok(entry)) = folder.entries.get(at) else {
                return Err(faults::internal(&format!("there is no entry at {at}")));
            };
            look(inner, entry, folder.image(&entry.file)?)
        });
        let (wanted, mut file, whole) = match looked.await? {
            Looked::Present(image) => return Ok(Received::Present(image)),
            Looked::New(wanted, file, whole) => (wanted, file, whole),
        };
        let (tell, told) = oneshot::channel();
        let answer = Answer::new(Box::new(move |outcome: Result<UploadReply, Refusal>| {
            // Nobody waits where the import has failed meanwhile.
            let _ = tell.send(outcome);
        }));
        let size_bytes = wanted.size_bytes;
        let Some(mut receiving) = self.begin_wanted(*wanted, answer).await else {
            return Ok(Received::Answered(told));
        };
        if let Some(whole) = whole {
            receiving.write(vec![whole]).await?;
            return Ok(Received::Ready(Box::new(receiving), told));
        }
        while receiving.offset() < size_bytes {
            let left = size_bytes - receiving.offset();
            let (piece, back) = self.hop(move |_| read_piece(file, left)).await?;
            file = back;
            receiving.write(vec![piece]).await?;
        }
        Ok(Received::Ready(Box::new(receiving), told))
    }
}

/// Looks at an entry's file, and whether its image is here. Blocks.
fn look(inner: &Arc<Inner>, entry: &Entry, mut file: File) -> Result<Looked, Refusal> {
    let size = file.metadata().map_err(|error| unreadable(&error))?.len();
    let person = inner
        .catalog
        .person(PersonKind::Imported, &entry.uploader, Timestamp::now())
        .map_err(|error| faults::catalog(&error))?;
    let actor = Actor {
        person,
        name: entry.uploader.clone(),
        role: Role::Guest { may_upload: true },
        device: None,
        from: LOCAL.to_owned(),
    };
    let name = entry.name.as_str().to_owned();
    let upload = Upload { name, size, hash: None, taken_at: None, unless_deleted: false };
    let wanted = check(&actor, &upload, Again::Reuse, inner.settings.max_image_bytes)?;
    let imported = Imported {
        number: entry.number,
        timestamp: entry.timestamp.clone(),
        uploaded_at: entry.uploaded_at,
    };
    let (hash, whole) = read_through(&mut file, size)?;
    let here = inner.catalog.imported_as(person, &entry.name, hash, &imported);
    if let Some(image) = here.map_err(|error| faults::catalog(&error))? {
        return Ok(Looked::Present(image.record.id));
    }
    let wanted = Box::new(Wanted { imported: Some(imported), ..wanted });
    Ok(Looked::New(wanted, file, whole))
}

/// The hash of a file's content, and the content where it is small; the file is at its start again
/// otherwise.
fn read_through(file: &mut File, size: u64) -> Result<(BlobHash, Option<Bytes>), Refusal> {
    let small = usize::try_from(size).ok().filter(|_| size <= APPENDED_BYTES);
    if let Some(size) = small {
        let mut content = vec![0; size];
        file.read_exact(&mut content).map_err(|error| unreadable(&error))?;
        let hash = BlobHash(*blake3::hash(&content).as_bytes());
        return Ok((hash, Some(content.into())));
    }
    let mut hasher = blake3::Hasher::new();
    let read = hasher.update_reader(&*file).and_then(|_| file.rewind());
    read.map_err(|error| unreadable(&error))?;
    Ok((BlobHash(*hasher.finalize().as_bytes()), None))
}

fn read_piece(mut file: File, left: u64) -> Result<(Bytes, File), Refusal> {
    let len = usize::try_from(left).unwrap_or(usize::MAX).min(PIECE_BYTES);
    let mut piece = BytesMut::zeroed(len);
    file.read_exact(&mut piece).map_err(|error| unreadable(&error))?;
    Ok((piece.freeze(), file))
}

fn unreadable(error: &io::Error) -> Refusal {
    let why = match error.kind() {
        io::ErrorKind::UnexpectedEof => "it became shorter meanwhile".to_owned(),
        _ => error.to_string(),
    };
    Refusal::new(ErrorCode::FileError, format!("cannot read its file: {why}"))
}

/// What became of the entries so far.
struct Tally<'a> {
    folder: &'a Folder,
    done: usize,
    summary: ImportSummary,
    tell: &'a mut dyn FnMut(Told<'_>),
}

impl Tally<'_> {
    fn step(&mut self) {
        self.done += 1;
        let total = Some(self.folder.len() as u64);
        (self.tell)(Told::Progress { done: self.done, total });
    }

    fn number(&self, at: usize) -> Option<u64> {
        self.folder.entries.get(at)?.as_ref().ok().map(|entry| entry.number)
    }

    fn is_here(&mut self, at: usize, image: ImageId, was_here: bool) {
        match was_here {
            true => self.summary.present += 1,
            false => self.summary.imported += 1,
        }
        if let Some(number) = self.number(at).filter(|number| *number != image.0) {
            let renumbered = Renumbered { entry: at + 1, number, image };
            (self.tell)(Told::Renumbered(&renumbered));
            self.summary.renumbered.push(renumbered);
        }
        self.step();
    }

    fn leave_out(&mut self, at: usize, number: Option<u64>, error: Refusal) {
        let left_out = LeftOut { entry: Some(at + 1), number, error };
        (self.tell)(Told::LeftOut(&left_out));
        self.summary.left_out.push(left_out);
        self.step();
    }

    /// Takes an entry's answer.
    ///
    /// # Errors
    /// As [`Tally::refused`].
    fn answered(
        &mut self,
        at: usize,
        answer: Result<Result<UploadReply, Refusal>, oneshot::error::RecvError>,
    ) -> Result<(), Refusal> {
        match answer {
            Ok(Ok(reply)) => {
                self.is_here(at, reply.image.id, reply.duplicate);
                Ok(())
            }
            Ok(Err(refusal)) => self.refused(at, refusal),
            Err(_) => self.refused(at, faults::shutting_down()),
        }
    }

    /// Leaves an entry out for a reason of its own.
    ///
    /// # Errors
    /// A reason that every other entry would have too.
    fn refused(&mut self, at: usize, refusal: Refusal) -> Result<(), Refusal> {
        let own = matches!(
            refusal.code,
            ErrorCode::NotAnImage
                | ErrorCode::TooLarge
                | ErrorCode::BadName
                | ErrorCode::WrongSize
                | ErrorCode::NotFound
                | ErrorCode::FileError
        );
        if !own {
            let message = format!(
                "cannot go on with the import: {}; {} of {} entries were looked at, and what was \
                 taken stays",
                refusal.message,
                self.done,
                self.folder.len()
            );
            return Err(Refusal { message, ..refusal });
        }
        self.leave_out(at, self.number(at), refusal);
        Ok(())
    }
}
