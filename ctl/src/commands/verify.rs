//! `imgctl verify PATH...`: is everything here safely in the repository? By contents, not by names,
//! and without uploading anything.
//!
//! What is no image is looked at like everything else: who asks before removing a folder wants to
//! know of every file in it that is nowhere else.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read as _;
use std::sync::Arc;

use imgrepo_proto::control::client::Client;
use imgrepo_proto::control::{Outcome, Request};
use imgrepo_proto::limits::MAX_HAVE;
use imgrepo_proto::name::shown;
use imgrepo_proto::session::command::{Filter, List};
use imgrepo_proto::{BlobHash, ImageId, ImageName, Refusal};
use serde::Serialize;

use crate::cli;
use crate::context::{Context, unexpected};
use crate::failure::{Failure, file_error};
use crate::output::{Problem, Style};
use crate::progress::{Bar, Track};
use crate::several::{self, Pace, Results};
use crate::steady::Steady;
use crate::walk::{self, Found, Kind};

/// Some of several failed.
const SOME: u8 = 6;

/// Files read at once: the disk is what is waited for, and two reads hide its pauses.
const AT_ONCE: usize = 2;

/// Read at once: less makes BLAKE3 slower.
const PIECE_BYTES: usize = 256 * 1024;

/// An entry of the results.
#[derive(Serialize)]
struct Entry<'a> {
    path: &'a str,
    status: &'a str,
    hash: Option<BlobHash>,
    images: &'a [ImageId],
    error: Option<Problem>,
}

/// How a content is kept.
enum Kept {
    /// As these images.
    Stored(Vec<ImageId>),
    /// Not at all.
    Missing,
    /// Not at all, but these images have its name.
    Differs(Vec<ImageId>),
}

/// How many were found to be what.
#[derive(Default)]
struct Tally {
    stored: u64,
    missing: u64,
    differs: u64,
}

/// Looks at them all.
pub(crate) fn run(context: &Arc<Context>, args: &cli::Verify) -> Result<(), Failure> {
    if args.paths.iter().any(|path| path.as_os_str() == "-") {
        return Err(Failure::usage("standard input cannot be verified: name a file or a folder"));
    }
    let act = "verify the files";
    let wrap = |refusal| Failure::new(act, refusal);
    let mut daemon = context.open().map_err(wrap)?;
    // Whether there is anybody to ask is said before anything is read.
    have(&mut daemon, Vec::new()).map_err(wrap)?;
    let found = walk::expand(&args.paths, &mut |note| {
        context.out.note(&format!("imgctl: {}", shown(&note)));
    });
    if found.is_empty() {
        context.out.note("there is nothing to verify");
    }
    let bytes = found.iter().map(|found| if let Kind::File(size) = found.kind { size } else { 0 });
    let bar = Bar::new(context, found.len(), bytes.sum());
    let tracks = Arc::clone(&bar);
    let hash = move |_: &mut several::Line, found: &Found| {
        let size = if let Kind::File(size) = found.kind { Some(size) } else { None };
        hash(found, &mut tracks.track(size))
    };
    let mut batch = Batch {
        context,
        daemon,
        held: Vec::new(),
        results: Results::new(context),
        tally: Tally::default(),
        broken: None,
    };
    several::run(context, found, Pace::AtOnce(AT_ONCE), hash, |found, hash| {
        batch.held.push((found.clone(), hash));
        if batch.held.len() >= MAX_HAVE {
            batch.tell();
        }
    });
    batch.tell();
    bar.finish();
    batch.finish()
}

fn hash(found: &Found, track: &mut Track) -> Result<BlobHash, Refusal> {
    if let Kind::Not(refusal) = &found.kind {
        return Err(refusal.clone());
    }
    read(found, track).map_err(|error| file_error("read", &found.path, &error))
}

fn read(found: &Found, track: &mut Track) -> std::io::Result<BlobHash> {
    let mut file = Steady::new(File::open(&found.path)?)?;
    let mut hasher = blake3::Hasher::new();
    let mut piece = vec![0; PIECE_BYTES];
    let mut done = 0;
    loop {
        match file.read(&mut piece)? {
            0 => return Ok(BlobHash(*hasher.finalize().as_bytes())),
            count => {
                hasher.update(&piece[..count]);
                done += count as u64;
                track.at(done);
            }
        }
    }
}

/// Files whose hashes are asked for together, in their order.
struct Batch<'a> {
    context: &'a Arc<Context>,
    daemon: Client,
    held: Vec<(Found, Result<BlobHash, Refusal>)>,
    results: Results,
    tally: Tally,
    /// Why the repository cannot be asked any more.
    broken: Option<Refusal>,
}

impl Batch<'_> {
    fn tell(&mut self) {
        let held = std::mem::take(&mut self.held);
        let mut hashes: Vec<_> = held.iter().filter_map(|(_, hash)| hash.clone().ok()).collect();
        hashes.sort_unstable();
        hashes.dedup();
        let have = match &self.broken {
            Some(refusal) => Err(refusal.clone()),
            None if hashes.is_empty() => Ok(BTreeMap::new()),
            None => have(&mut self.daemon, hashes),
        };
        self.broken = have.as_ref().err().cloned();
        for (found, hash) in held {
            let kept = match (&hash, &have) {
                (Err(refusal), _) | (Ok(_), Err(refusal)) => Err(refusal.clone()),
                (Ok(hash), Ok(have)) => self.kept(&found, hash, have),
            };
            self.one(&found, hash.ok(), &kept);
        }
    }

    fn kept(
        &mut self,
        found: &Found,
        hash: &BlobHash,
        have: &BTreeMap<BlobHash, Vec<ImageId>>,
    ) -> Result<Kept, Refusal> {
        if let Some(images) = have.get(hash).filter(|images| !images.is_empty()) {
            return Ok(Kept::Stored(images.clone()));
        }
        let name = found.path.file_name().unwrap_or_default().as_encoded_bytes();
        // What can be no image's name is no image.
        let Ok(name) = ImageName::from_disk(name) else { return Ok(Kept::Missing) };
        let filter = Filter { exact_name: Some(name.into()), ..Filter::default() };
        let list = List { filter, limit: Some(1), ..List::default() };
        match self.daemon.call(&Request::List(list))? {
            Outcome::Images(page) if page.images.is_empty() => Ok(Kept::Missing),
            Outcome::Images(page) => {
                Ok(Kept::Differs(page.images.iter().map(|image| image.id).collect()))
            }
            other => Err(unexpected(&other)),
        }
    }

    fn one(&mut self, found: &Found, hash: Option<BlobHash>, kept: &Result<Kept, Refusal>) {
        let path = found.path.to_string_lossy();
        let (status, style, images) = match kept {
            Ok(Kept::Stored(images)) => ("stored", Style::Green, &images[..]),
            Ok(Kept::Missing) => ("missing", Style::Red, &[][..]),
            Ok(Kept::Differs(images)) => ("differs", Style::Yellow, &images[..]),
            Err(_) => ("failed", Style::Red, &[][..]),
        };
        let out = &self.context.out;
        let id = images.first().map_or_else(|| "-".to_owned(), ToString::to_string);
        let line =
            format!("{}  {id:>4}  {}", out.styled(style, &format!("{status:<9}")), shown(&path));
        match kept {
            Ok(Kept::Stored(_)) => {
                self.tally.stored += 1;
                self.results.done();
                out.confirm(&line);
            }
            Ok(other) => {
                match other {
                    Kept::Missing => self.tally.missing += 1,
                    _ => self.tally.differs += 1,
                }
                if !out.json() {
                    // Who reads it may go: the exit code matters more than to say it.
                    let _ = out.line(&line);
                }
            }
            Err(refusal) => self.results.failed(&format!("verify `{path}`"), refusal),
        }
        self.results.entry(&Entry {
            path: &path,
            status,
            hash,
            images,
            error: kept.as_ref().err().map(Problem::from),
        });
    }

    fn finish(self) -> Result<(), Failure> {
        let Tally { stored, missing, differs } = self.tally;
        let ended = self.results.finish();
        if !self.context.out.json() {
            let said = format!("{stored} stored, {missing} missing, {differs} different");
            self.context.out.note(&said);
        }
        match missing + differs {
            0 => ended,
            _ => Err(Failure::Said(SOME)),
        }
    }
}

/// Which images of the repository have these contents.
fn have(
    daemon: &mut Client,
    hashes: Vec<BlobHash>,
) -> Result<BTreeMap<BlobHash, Vec<ImageId>>, Refusal> {
    match daemon.call(&Request::Have(hashes))? {
        Outcome::Have(reply) => Ok(reply.have),
        other => Err(unexpected(&other)),
    }
}
