//! Images that a person saves: from the daemon into the folder of downloads, each under a name that
//! is safe on any system, never over a file that is there. A thread of its own; asked by `window`.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::thread;

use imgrepo_proto::control::{Client, Endpoint, Outcome, Reply, Request};
use imgrepo_proto::limits::MAX_IMAGE_NAME_BYTES;
use imgrepo_proto::name::file_name;
use imgrepo_proto::{ErrorCode, ImageId, ImageRecord, ImageRef, Refusal};

use crate::bridge::Told;
use crate::mailbox::Mailbox;
use crate::program;

/// Selections that wait to be saved.
const WAITING: usize = 64;

/// Other names that are tried, where a folder has so many of one name: then something is wrong.
const NAMES: u32 = 10_000;

/// Who saves.
pub(crate) struct Saving(SyncSender<Vec<ImageId>>);

impl Saving {
    /// Into this folder.
    pub(crate) fn start(endpoint: Endpoint, folder: PathBuf, mailbox: Mailbox) -> Saving {
        let (ask, asked) = sync_channel::<Vec<ImageId>>(WAITING);
        // Not joined: it ends with the process, and what was not whole by then has no name.
        thread::spawn(move || {
            for image in asked.iter().flatten() {
                mailbox.tell(match save(&endpoint, &folder, image) {
                    Ok((name, path)) => Told::Saved { name, path: path.display().to_string() },
                    Err(refusal) => Told::Failed { message: sentence(image, &refusal) },
                });
            }
        });
        Saving(ask)
    }

    /// Saves these, in this order. False where too much waits already.
    pub(crate) fn save(&self, images: Vec<ImageId>) -> bool {
        !matches!(self.0.try_send(images), Err(TrySendError::Full(_)))
    }
}

fn sentence(image: ImageId, refusal: &Refusal) -> String {
    match refusal.message.starts_with("cannot ") {
        true => refusal.message.clone(),
        false => format!("cannot save image {image}: {}", refusal.message),
    }
}

fn save(endpoint: &Endpoint, folder: &Path, image: ImageId) -> Result<(String, PathBuf), Refusal> {
    let unwritable = |error: &io::Error| {
        let code = match error.kind() {
            io::ErrorKind::StorageFull => ErrorCode::StorageFull,
            _ => ErrorCode::FileError,
        };
        Refusal::new(code, format!("cannot write to `{}`: {error}", folder.display()))
    };
    let mut daemon = Client::connect(endpoint, program())?;
    fs::create_dir_all(folder).map_err(|error| unwritable(&error))?;
    let made = tempfile::Builder::new().prefix(".imgview-").tempfile_in(folder);
    let mut file = made.map_err(|error| unwritable(&error))?;
    let request = Request::Download { image: ImageRef::Id(image), offset: 0 };
    let outcome = daemon.call_with(&request, &mut |reply| match reply {
        Reply::Data(bytes) => file.write_all(&bytes).map_err(|error| unwritable(&error)),
        _ => Ok(()),
    })?;
    // The daemon has checked the whole of it against its hash.
    let Outcome::Image(record) = outcome else {
        return Err(Refusal::new(ErrorCode::Internal, "the daemon sent no content"));
    };
    allow_as_new(file.as_file()).map_err(|error| unwritable(&error))?;
    file.as_file().sync_all().map_err(|error| unwritable(&error))?;
    for number in 0..NAMES {
        let path = folder.join(name(&record, number));
        file = match file.persist_noclobber(&path) {
            Ok(_) => return Ok((record.name, path)),
            Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => error.file,
            Err(error) => return Err(unwritable(&error.error)),
        };
    }
    let error = io::Error::from(io::ErrorKind::AlreadyExists);
    Err(unwritable(&error))
}

/// The name of the file: the image's own, then with its number, then with another behind that.
fn name(image: &ImageRecord, number: u32) -> String {
    let whole = file_name(&image.name);
    let mark = match number {
        0 => return whole,
        1 => format!(" ({})", image.id),
        _ => format!(" ({}, {number})", image.id),
    };
    let whole = Path::new(&whole);
    let mut stem = whole.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let end =
        whole.extension().map(|end| format!(".{}", end.to_string_lossy())).unwrap_or_default();
    let room = MAX_IMAGE_NAME_BYTES.saturating_sub(mark.len() + end.len());
    while stem.len() > room.max(1) {
        stem.pop();
    }
    file_name(&format!("{stem}{mark}{end}"))
}

/// Temporary files are their owner's alone; a saved one is as any that is saved.
#[cfg(unix)]
fn allow_as_new(file: &File) -> io::Result<()> {
    use rustix::fs::Mode;
    // The mask can only be read by setting it. What this process makes meanwhile is temporary.
    let mask = rustix::process::umask(Mode::RWXG | Mode::RWXO);
    rustix::process::umask(mask);
    let all = Mode::RUSR | Mode::WUSR | Mode::RGRP | Mode::WGRP | Mode::ROTH | Mode::WOTH;
    Ok(rustix::fs::fchmod(file, all & !mask)?)
}

#[cfg(not(unix))]
fn allow_as_new(_: &File) -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_of_one_name_gets_its_id() {
        let image = |name: &str| ImageRecord::bare(ImageId(7), name, "ana");
        let names =
            |image: &ImageRecord| (0..3).map(|number| name(image, number)).collect::<Vec<_>>();
        assert_eq!(names(&image("a.jpg")), ["a.jpg", "a (7).jpg", "a (7, 2).jpg"]);
        assert_eq!(names(&image("x")), ["x", "x (7)", "x (7, 2)"]);
        assert_eq!(names(&image("../NUL.jpg"))[1], "_..%2FNUL (7).jpg");
        for name in names(&image(&format!("{}.jpg", "é".repeat(125)))) {
            assert!(name.len() <= 255 && name.ends_with(".jpg"), "{name}");
        }
    }
}
