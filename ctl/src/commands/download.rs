//! `imgctl download IMAGE...`: originals, byte for byte.
//!
//! First every image is looked up, so that the files' names are given in the order of the command
//! line; then a few are fetched at once. A file appears under its name when its bytes are all there,
//! checked against the image's hash, and on the disk. What was broken off goes on where it stopped.

mod file;
mod partial;

use std::collections::{BTreeSet, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use imgrepo_proto::control::{Reply, Request};
use imgrepo_proto::limits::MAX_IMAGE_NAME_BYTES;
use imgrepo_proto::name::{file_name, shown};
use imgrepo_proto::{ErrorCode, ImageRecord, ImageRef, Refusal};
use serde::Serialize;

use self::file::Incoming;
use crate::cli;
use crate::context::{Context, image_ref, record};
use crate::failure::{Failure, cause};
use crate::output::{Problem, Style};
use crate::progress::{Bar, Track};
use crate::several::{self, AT_ONCE, Pace, Results};

/// An entry of the results.
#[derive(Serialize)]
struct Entry<'a> {
    image: &'a str,
    status: &'a str,
    path: Option<String>,
    record: Option<&'a ImageRecord>,
    error: Option<Problem>,
}

/// An image to fetch, and where to.
struct Job {
    asked: String,
    found: Result<(ImageRecord, PathBuf), Refusal>,
}

/// Where the contents go.
#[derive(Debug, PartialEq, Eq)]
enum Target {
    Stdout,
    File(PathBuf),
    Folder(PathBuf),
}

/// Fetches them all.
pub(crate) fn run(context: &Arc<Context>, args: &cli::Download) -> Result<(), Failure> {
    let target = target(args)?;
    if target == Target::Stdout {
        return to_stdout(context, args);
    }
    let mut daemon = context.open().map_err(|refusal| Failure::new("download", refusal))?;
    let mut taken = HashSet::new();
    let mut jobs = Vec::with_capacity(args.images.len());
    for asked in &args.images {
        let asked = asked.clone();
        let image = image_ref(&asked).and_then(|image| record(daemon.call(&Request::Info(image))?));
        let found = image.map(|image| {
            let path = place(&target, &image, &mut taken);
            (image, path)
        });
        jobs.push(Job { asked, found });
    }
    drop(daemon);
    let places = jobs.iter().filter_map(|job| Some(&job.found.as_ref().ok()?.1));
    for folder in places.map(|place| file::folder(place)).collect::<BTreeSet<_>>() {
        partial::sweep(folder, SystemTime::now());
    }
    let sizes = jobs.iter().filter_map(|job| job.found.as_ref().ok()?.0.size);
    // A server may say any size.
    let bytes = sizes.fold(0, u64::saturating_add);
    let bar = Bar::new(context, jobs.len(), bytes);
    let mut results = Results::new(context);
    let (force, tracks, owner) = (args.force, Arc::clone(&bar), Arc::clone(context));
    let act = move |line: &mut several::Line, job: &Job| {
        let (image, path) = job.found.as_ref().map_err(Clone::clone)?;
        let mut track = tracks.track(image.size);
        fetch(&owner, line, image, path, force, &mut track)
    };
    several::run(context, jobs, Pace::AtOnce(AT_ONCE), act, |job, outcome| {
        let outcome = outcome.map_err(|refusal| resumable(refusal, job));
        tell(context, &mut results, job, &outcome);
    });
    bar.finish();
    results.finish()
}

fn target(args: &cli::Download) -> Result<Target, Failure> {
    let Some(output) = &args.output else { return Ok(Target::Folder(PathBuf::new())) };
    if output.as_os_str() != "-" {
        if output.is_dir() {
            return Ok(Target::Folder(output.clone()));
        }
        if output.as_os_str().as_encoded_bytes().ends_with(b"/") {
            let output = output.display();
            let message = format!("cannot write into `{output}`: there is no such folder");
            let refusal = Refusal::new(ErrorCode::FileError, message);
            return Err(Failure::new(
                "download",
                refusal.hint(format!("make it: mkdir -p {output}")),
            ));
        }
    }
    match (args.images.len(), output.as_os_str() == "-") {
        (1, true) => Ok(Target::Stdout),
        (1, false) => Ok(Target::File(output.clone())),
        _ => Err(Failure::usage("several images go into a folder that exists: `-o DIR`")),
    }
}

/// The file of an image; the second of one name into a folder gets its id.
fn place(target: &Target, image: &ImageRecord, taken: &mut HashSet<PathBuf>) -> PathBuf {
    let folder = match target {
        Target::Folder(folder) => folder,
        Target::File(path) => return path.clone(),
        Target::Stdout => return PathBuf::new(),
    };
    let mut path = folder.join(file_name(&image.name));
    // Without regard to case: on some systems such names are one.
    let key = |path: &Path| PathBuf::from(path.to_string_lossy().to_lowercase());
    let whole = path.clone();
    let mut number = 1;
    while !taken.insert(key(&path)) {
        let mark = match number {
            1 => format!(" ({})", image.id),
            // Somebody has called another image just so.
            _ => format!(" ({}, {number})", image.id),
        };
        path = folder.join(marked(&whole, &mark));
        number += 1;
    }
    path
}

/// A file's name with a mark before its extension, which no length of the name cuts off.
fn marked(path: &Path, mark: &str) -> String {
    let mut stem = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let extension = path.extension().map(|end| format!(".{}", end.to_string_lossy()));
    let extension = extension.unwrap_or_default();
    let room = MAX_IMAGE_NAME_BYTES.saturating_sub(mark.len() + extension.len());
    while stem.len() > room.max(1) {
        stem.pop();
    }
    // Of an extension that leaves no room for a stem, the end is cut.
    file_name(&format!("{stem}{mark}{extension}"))
}

fn fetch(
    context: &Arc<Context>,
    line: &mut several::Line,
    image: &ImageRecord,
    path: &Path,
    force: bool,
    track: &mut Track,
) -> Result<ImageRecord, Refusal> {
    // Looked at now to spare the transfer; what decides is the moment when the file gets its name.
    if !force && path.symlink_metadata().is_ok() {
        return Err(file::exists(path));
    }
    let mut file = Incoming::open(context, image, path)?;
    let goes_on = file.goes_on();
    let mut fetched = receive(line, image, &mut file, track);
    if goes_on && fetched.as_ref().is_err_and(is_about_the_beginning) {
        file.begin_anew()?;
        fetched = receive(line, image, &mut file, track);
    }
    match fetched {
        Ok(record) => file.finish(force).map(|()| record),
        Err(refusal) => {
            file.break_off(&refusal);
            Err(refusal)
        }
    }
}

/// Fetches what is missing, and checks the whole.
fn receive(
    line: &mut several::Line,
    image: &ImageRecord,
    file: &mut Incoming,
    track: &mut Track,
) -> Result<ImageRecord, Refusal> {
    track.at(file.written());
    if file.goes_on() && image.size == Some(file.written()) {
        return file.check().map(|()| image.clone());
    }
    let request = Request::Download { image: ImageRef::Id(image.id), offset: file.written() };
    let mut total = None;
    let outcome = line.daemon()?.call_with(&request, &mut |reply| {
        match reply {
            Reply::Size(size) => {
                total = Some(size.info.size);
                track.known(size.info.size);
            }
            Reply::Data(bytes) => {
                let written = file.write(&bytes)?;
                // A daemon that does not know of the beginning sends it again.
                if total.is_some_and(|total| written > total) {
                    let message = format!("more than the {} bytes came", total.unwrap_or(0));
                    return Err(Refusal::new(ErrorCode::WrongSize, message));
                }
                track.at(written);
            }
            _ => {}
        }
        Ok(())
    })?;
    file.check()?;
    record(outcome)
}

/// Whether what an earlier download left may be the cause.
fn is_about_the_beginning(refusal: &Refusal) -> bool {
    use ErrorCode::{BadRequest, Conflict, WrongHash, WrongSize};
    matches!(refusal.code, BadRequest | Conflict | WrongHash | WrongSize)
}

/// What was broken off can be gone on with, where its hash is known.
fn resumable(refusal: Refusal, job: &Job) -> Refusal {
    let broken_off = matches!(refusal.code, ErrorCode::Cancelled | ErrorCode::TimedOut);
    let has_hash = job.found.as_ref().is_ok_and(|(image, _)| image.hash.is_some());
    match broken_off && has_hash && refusal.hint.is_none() {
        true => refusal.hint("the same download later goes on where this one stopped"),
        false => refusal,
    }
}

fn to_stdout(context: &Context, args: &cli::Download) -> Result<(), Failure> {
    if context.out.json() {
        return Err(Failure::usage("`-o -` has no room for a document: leave out `--json`"));
    }
    let act = format!("download `{}`", args.images[0]);
    let image = image_ref(&args.images[0]).map_err(|refusal| Failure::new(&act, refusal))?;
    // A bar and a content on one terminal would be a mess.
    let mut track = (!context.out.terminal()).then(|| Bar::new(context, 1, 0).track(None));
    let mut done = 0;
    let outcome = context.ask_with(&act, &Request::Download { image, offset: 0 }, &mut |reply| {
        match (reply, &mut track) {
            (Reply::Size(size), Some(track)) => track.known(size.info.size),
            (Reply::Data(bytes), track) => {
                context.out.bytes(&bytes)?;
                done += bytes.len() as u64;
                if let Some(track) = track {
                    track.at(done);
                }
            }
            _ => {}
        }
        Ok(())
    });
    if let Some(track) = track {
        track.bar().finish();
    }
    outcome.map(drop)
}

fn tell(
    context: &Context,
    results: &mut Results,
    job: &Job,
    outcome: &Result<ImageRecord, Refusal>,
) {
    let path = job.found.as_ref().ok().map(|(_, path)| path);
    let said = path.map(|path| path.to_string_lossy().into_owned()).unwrap_or_default();
    match outcome {
        Ok(image) => {
            results.done();
            let status = context.out.styled(Style::Green, &format!("{:<9}", "saved"));
            context.out.confirm(&format!("{status}  {:>4}  {}", image.id, shown(&said)));
        }
        Err(refusal) => results.failed(&format!("download `{}`", job.asked), refusal),
    }
    let saved = outcome.as_ref().ok();
    let absolute = |path: &PathBuf| std::path::absolute(path).unwrap_or_else(|_| path.clone());
    results.entry(&Entry {
        image: &job.asked,
        status: if saved.is_some() { "saved" } else { "failed" },
        path: saved.and(path).map(|path| absolute(path).to_string_lossy().into_owned()),
        record: saved,
        error: outcome.as_ref().err().map(Problem::from),
    });
}

/// The refusal of a write to `path`.
fn unwritable(path: &Path, error: &std::io::Error) -> Refusal {
    let code = match error.kind() {
        std::io::ErrorKind::AlreadyExists => return file::exists(path),
        std::io::ErrorKind::StorageFull => ErrorCode::StorageFull,
        _ => ErrorCode::FileError,
    };
    Refusal::new(code, format!("cannot write `{}`: {}", path.display(), cause(error)))
}

#[cfg(test)]
mod tests {
    use imgrepo_proto::ImageId;

    use super::*;

    fn image(id: u64, name: &str) -> ImageRecord {
        ImageRecord::bare(ImageId(id), name, "ana")
    }

    #[test]
    fn the_second_of_one_name_gets_its_id() {
        let target = Target::Folder("d".into());
        let mut taken = HashSet::new();
        let mut place = |id, name| place(&target, &image(id, name), &mut taken);
        assert_eq!(place(1, "a.jpg"), Path::new("d/a.jpg"));
        assert_eq!(place(2, "A.jpg"), Path::new("d/A (2).jpg"));
        assert_eq!(place(3, "a.jpg"), Path::new("d/a (3).jpg"));
        assert_eq!(place(4, "x"), Path::new("d/x"));
        assert_eq!(place(5, "x"), Path::new("d/x (5)"));
        assert_eq!(place(6, "../NUL.jpg"), Path::new("d/_..%2FNUL.jpg"));
        assert_eq!(place(7, "x (9)"), Path::new("d/x (9)"));
        assert_eq!(place(9, "x"), Path::new("d/x (9, 2)"));
    }

    #[test]
    fn each_has_a_file_of_its_own_however_long_its_name_is() {
        let target = Target::Folder("d".into());
        let mut taken = HashSet::new();
        let long = "é".repeat(200);
        for (at, end) in
            ["", ".jpg", "x.jpg", ".é", ".jpeg2000.a.long.one", &long].iter().enumerate()
        {
            for (again, start) in ["a".repeat(255), "é".repeat(127), ":".repeat(200), String::new()]
                .iter()
                .cycle()
                .take(12)
                .enumerate()
            {
                let image = image((at * 100 + again) as u64 + 1, &format!("{start}{end}"));
                let before = taken.len();
                let path = place(&target, &image, &mut taken);
                assert_eq!(taken.len(), before + 1, "{path:?}");
                let name = path.file_name().unwrap();
                assert!(name.len() <= 255, "{name:?}");
            }
        }
    }
}
