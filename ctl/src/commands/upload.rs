//! `imgctl upload PATH...`: files and folders into the repository.
//!
//! The daemon reads a file itself, by its absolute path; what it cannot read and this process can
//! (another user's file, a pipe, `/dev/fd/3`, standard input) is streamed to it. With `--queue` the
//! same goes into the durable queue, and nothing is waited for but that it is there.

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use imgrepo_proto::control::client::{Client, Item};
use imgrepo_proto::control::queue::UploadId;
use imgrepo_proto::control::request::{Content, Upload};
use imgrepo_proto::control::{Outcome, Reply, Request};
use imgrepo_proto::name::shown;
use imgrepo_proto::{ErrorCode, ImageName, ImageRecord, Refusal};
use serde::Serialize;

use crate::cli;
use crate::context::{Context, unexpected};
use crate::failure::{Failure, file_error};
use crate::output::{Problem, Style};
use crate::progress::{Bar, Track};
use crate::several::{self, AT_ONCE, Pace, Results};
use crate::steady::Steady;
use crate::walk::{self, Found, Kind};

/// What came of an object.
enum Taken {
    /// It is stored now.
    Stored(ImageRecord),
    /// It was there already.
    Duplicate(ImageRecord),
    /// It goes on by itself.
    Queued(UploadId),
}

impl Taken {
    fn image(&self) -> Option<&ImageRecord> {
        match self {
            Taken::Stored(image) | Taken::Duplicate(image) => Some(image),
            Taken::Queued(_) => None,
        }
    }

    fn queued(&self) -> Option<UploadId> {
        if let Taken::Queued(id) = self { Some(*id) } else { None }
    }
}

/// An entry of the results.
#[derive(Serialize)]
struct Entry<'a> {
    path: &'a str,
    status: &'a str,
    image: Option<&'a ImageRecord>,
    queued: Option<UploadId>,
    error: Option<Problem>,
}

/// Uploads them all.
pub(crate) fn run(context: &Arc<Context>, args: &cli::Upload) -> Result<(), Failure> {
    let stdin = args.paths.iter().any(|path| path.as_os_str() == "-");
    if stdin && args.name.is_none() {
        return Err(Failure::usage("standard input needs a name: add `--name NAME`"));
    }
    if args.name.is_some() && (args.paths.len() > 1 || args.paths[0].is_dir()) {
        return Err(Failure::usage("`--name` goes with one file"));
    }
    // Before anything is looked at: without a daemon there is one error, not one for each file.
    drop(context.open().map_err(|refusal| Failure::new("upload", refusal))?);
    let found = walk::expand(&args.paths, &mut |note| {
        context.out.note(&format!("imgctl: {}", shown(&note)));
    });
    let bytes = found.iter().map(|found| if let Kind::File(size) = found.kind { size } else { 0 });
    let bar = Bar::new(context, found.len(), bytes.sum());
    let (name, queue, tracks) = (args.name.clone(), args.queue, Arc::clone(&bar));
    let mut results = Results::new(context);
    let act = move |line: &mut several::Line, found: &Found| {
        let size = if let Kind::File(size) = found.kind { Some(size) } else { None };
        let mut track = tracks.track(size);
        take(line.daemon()?, found, name.as_deref(), queue, &mut track)
    };
    if found.is_empty() {
        context.out.note("there is nothing to upload");
    }
    // Uploads of the queue go by its order, which is to be the one that they were named in.
    let pace = if queue { Pace::Rounds(AT_ONCE) } else { Pace::AtOnce(AT_ONCE) };
    several::run(context, found, pace, act, |found, outcome| {
        let outcome = match queue {
            true => outcome,
            false => outcome.map_err(|refusal| resumable(refusal, &found.kind)),
        };
        tell(context, &mut results, found, args.name.as_deref(), &outcome);
    });
    bar.finish();
    results.finish()
}

fn take(
    daemon: &mut Client,
    found: &Found,
    name: Option<&str>,
    queue: bool,
    track: &mut Track,
) -> Result<Taken, Refusal> {
    let mut item = |reply| {
        if let Reply::Progress(progress) = reply {
            track.take(progress);
        }
        Ok(())
    };
    let upload = Upload {
        name: name_of(&found.path, name)?,
        content: Content::Stream,
        unless_deleted: false,
    };
    let open = || File::open(&found.path).map_err(|error| file_error("read", &found.path, &error));
    let outcome = match &found.kind {
        Kind::Not(refusal) => return Err(refusal.clone()),
        Kind::Stdin => stream(daemon, &upload, &mut std::io::stdin().lock(), queue, &mut item),
        Kind::Stream => stream(daemon, &upload, &mut open()?, queue, &mut item),
        Kind::File(_) => {
            let path = std::path::absolute(&found.path);
            let path = path.map_err(|error| file_error("find", &found.path, &error))?;
            let named = Upload { content: Content::Path(path), ..upload.clone() };
            let request = if queue { Request::Enqueue(named) } else { Request::Upload(named) };
            match daemon.call_with(&request, &mut item) {
                // The daemon may not read it, or does not see it where it is: it is read here.
                Ok(Outcome::OutOfReach) => {
                    let steady = Steady::new(open()?);
                    let mut content =
                        steady.map_err(|error| file_error("read", &found.path, &error))?;
                    stream(daemon, &upload, &mut content, queue, &mut item)
                }
                outcome => outcome,
            }
        }
    };
    match outcome? {
        Outcome::Stored { image, duplicate: false } => Ok(Taken::Stored(image)),
        Outcome::Stored { image, duplicate: true } => Ok(Taken::Duplicate(image)),
        Outcome::Queued(id) => Ok(Taken::Queued(id)),
        other => Err(unexpected(&other)),
    }
}

fn stream(
    daemon: &mut Client,
    upload: &Upload,
    content: &mut dyn Read,
    queue: bool,
    item: Item<'_>,
) -> Result<Outcome, Refusal> {
    match queue {
        true => daemon.enqueue_stream(upload, content),
        false => daemon.upload_stream(upload, content, item),
    }
}

/// The image's name: the one that was given, else the file's.
fn name_of(path: &Path, name: Option<&str>) -> Result<String, Refusal> {
    let name = match name {
        Some(name) => ImageName::parse(name),
        None => ImageName::from_disk(path.file_name().unwrap_or_default().as_encoded_bytes()),
    };
    name.map(String::from).map_err(|error| Refusal::new(ErrorCode::BadName, error.to_string()))
}

/// A refusal that names the image, for a person who thinks of the file: images of one name may come
/// from many folders. Only for the eye.
fn by_path(refusal: &Refusal, path: &Path) -> Refusal {
    let name = name_of(path, None).unwrap_or_default();
    let cause = refusal.message.strip_prefix(&format!("cannot store `{}`: ", shown(&name)));
    let message = cause.unwrap_or(&refusal.message).to_owned();
    Refusal { message, ..refusal.clone() }
}

/// What was given up half-way can be gone on with, where the file is still there.
fn resumable(refusal: Refusal, kind: &Kind) -> Refusal {
    match (refusal.code, &refusal.hint, kind) {
        (ErrorCode::Cancelled | ErrorCode::TimedOut, None, Kind::File(_)) => {
            refusal.hint("the same upload later goes on where this one stopped")
        }
        _ => refusal,
    }
}

fn tell(
    context: &Context,
    results: &mut Results,
    found: &Found,
    name: Option<&str>,
    outcome: &Result<Taken, Refusal>,
) {
    let path = found.path.to_string_lossy();
    let (status, style) = match outcome {
        Ok(Taken::Stored(_)) => ("stored", Style::Green),
        Ok(Taken::Duplicate(_)) => ("duplicate", Style::Dim),
        Ok(Taken::Queued(_)) => ("queued", Style::Green),
        Err(refusal) if refusal.code == ErrorCode::NotAnImage && !found.named => {
            ("skipped", Style::Yellow)
        }
        Err(_) => ("failed", Style::Red),
    };
    match outcome {
        Ok(_) => results.done(),
        Err(refusal) if status == "failed" => {
            let act = format!("upload `{path}`");
            results.failed(&act, &by_path(refusal, &found.path));
        }
        Err(_) => {}
    }
    if status != "failed" {
        let id = match outcome {
            Ok(Taken::Stored(image) | Taken::Duplicate(image)) => image.id.to_string(),
            Ok(Taken::Queued(id)) => id.to_string(),
            Err(_) => "-".to_owned(),
        };
        let status = context.out.styled(style, &format!("{status:<9}"));
        let what = match (&found.kind, outcome.as_ref().ok().and_then(Taken::image)) {
            (Kind::Stdin, Some(image)) => shown(&image.name),
            (Kind::Stdin, None) => name.map_or_else(String::new, shown),
            _ => shown(&path),
        };
        context.out.confirm(&format!("{status}  {id:>4}  {what}"));
    }
    results.entry(&Entry {
        path: &path,
        status,
        image: outcome.as_ref().ok().and_then(Taken::image),
        queued: outcome.as_ref().ok().and_then(Taken::queued),
        error: outcome.as_ref().err().map(Problem::from),
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_shown_with_the_path_of_the_file() {
        let refusal = |message| Refusal::new(ErrorCode::NotAnImage, message);
        let said = by_path(&refusal("cannot store `b`: it is no image"), Path::new("a/b"));
        assert_eq!(said, refusal("it is no image"));
        let said = by_path(&refusal("cannot read `a/b`: it is gone"), Path::new("a/b"));
        assert_eq!(said, refusal("cannot read `a/b`: it is gone"));
    }

    #[test]
    fn an_image_has_the_name_of_its_file_unless_another_is_given() {
        assert_eq!(name_of(Path::new("a/b.jpg"), None), Ok("b.jpg".to_owned()));
        assert_eq!(name_of(Path::new("-"), Some("c.jpg")), Ok("c.jpg".to_owned()));
        assert_eq!(name_of(Path::new("b.jpg"), Some("..")).unwrap_err().code, ErrorCode::BadName);
    }
}
