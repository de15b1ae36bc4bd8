//! What the demo shows: Ana uploads, Bruno sees it at once, lists it and downloads it, and it is the
//! same to the last byte.

use std::fs::{self, File};
use std::io::{self, BufRead as _, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::ChildStdout;
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use imgrepo_proto::name::shown;
use imgrepo_proto::session::event::{Event, EventKind};
use imgrepo_proto::{ImageRecord, Refusal};

use super::house::House;
use super::{broken, pictures};
use crate::commands::events;
use crate::failure::{Failure, file_error};
use crate::walk::{self, Found};

/// How long an event may take to arrive. It takes some milliseconds.
const PATIENCE: Duration = Duration::from_secs(30);

/// A picture that Ana has stored.
#[derive(Debug)]
struct Stored {
    path: PathBuf,
    id: String,
}

/// All steps, each checked.
pub(super) fn run(house: &mut House, own: Option<&Path>) -> Result<(), Failure> {
    steps(house, own).map_err(|refusal| Failure::new("show the demo", refusal))
}

fn steps(house: &mut House, own: Option<&Path>) -> Result<(), Refusal> {
    let folder = pictures::folder(own, house.root())?;
    house.print("A server, and the daemons of two people:")?;
    // Whoever shows this may be an Ana themselves, and hers would be a guest's name of the owner's.
    let server = ["--serve", "--listen", "127.0.0.1:0", "--user", "server"];
    let ready = house.start("server", &server)?;
    let url = ready.split_whitespace().find(|word| word.starts_with("ws://"));
    let url = url.ok_or_else(|| broken("the server does not say where it listens"))?.to_owned();
    house.print(&format!("  {ready}"))?;
    for person in ["ana", "bruno"] {
        let ready = house.start(person, &["--connect", &url, "--user", person])?;
        house.print(&format!("  {ready}"))?;
    }
    house.print("\nBruno follows what happens:")?;
    let live = house.follow("bruno", &["events", "--follow", "--since", "0", "--json"])?;
    let live = hear(live);

    house.print("\nAna uploads her pictures:")?;
    let stored = upload(house, &folder)?;

    house.print("\nBruno has seen each of them arrive:")?;
    let records = arrivals(house, &live, stored.len())?;

    house.print("\nHe lists them and downloads the originals:")?;
    let listed = house.imgctl("bruno", &["list"])?;
    let mut listed: Vec<_> = listed.lines().map(str::to_owned).collect();
    let mut announced: Vec<_> = records.iter().map(|record| shown(&record.name)).collect();
    listed.sort_unstable();
    announced.sort_unstable();
    if listed != announced {
        return Err(broken("the list is not what was uploaded"));
    }
    let inbox = house.root().join("inbox");
    fs::create_dir(&inbox).map_err(|error| file_error("write", &inbox, &error))?;
    let mut args = vec!["download", "-o", "inbox"];
    args.extend(stored.iter().map(|stored| stored.id.as_str()));
    let saved = house.imgctl("bruno", &args)?;

    house.print(
        "\nThe bytes that he has are those that she had, and their hash is the one announced:",
    )?;
    compare(house, &stored, &records, &saved)
}

/// What Ana's daemon stored: `imgctl upload` says a line for each file, in the order of the walk.
fn upload(house: &mut House, folder: &Path) -> Result<Vec<Stored>, Refusal> {
    let said = house.imgctl("ana", &["upload", &folder.display().to_string()])?;
    let files = walk::expand(&[house.root().join(folder)], &mut |_| {});
    let mut stored = Vec::new();
    for (line, Found { path, .. }) in said.lines().zip(files) {
        let mut words = line.split_whitespace();
        if let (Some("stored"), Some(id)) = (words.next(), words.next()) {
            stored.push(Stored { path, id: id.to_owned() });
        }
    }
    match stored.is_empty() {
        false => Ok(stored),
        true => Err(broken(format!("there is no image in `{}`", folder.display()))),
    }
}

/// The events that a follower prints, as they come.
fn hear(stdout: ChildStdout) -> Receiver<Event> {
    let (said, heard) = mpsc::channel();
    // Not joined: it ends with the process that it listens to.
    thread::spawn(move || {
        for line in BufReader::new(stdout).lines() {
            let Ok(Ok(event)) = line.map(|line| serde_json::from_str(&line)) else { break };
            if said.send(event).is_err() {
                break;
            }
        }
    });
    heard
}

/// Waits for the events of so many uploads, and gives the records that they carry.
fn arrivals(
    house: &House,
    live: &Receiver<Event>,
    count: usize,
) -> Result<Vec<ImageRecord>, Refusal> {
    let deadline = Instant::now() + PATIENCE;
    let mut records = Vec::new();
    while records.len() < count {
        let left = deadline.saturating_duration_since(Instant::now());
        let missing = |_| broken(format!("of {count} uploads {} were seen live", records.len()));
        let event = live.recv_timeout(left).map_err(missing)?;
        house.print(&format!("  {}", events::line(&event)))?;
        if event.event == EventKind::NewUpload && event.by.as_deref() == Some("ana") {
            records.extend(event.image);
        }
    }
    Ok(records)
}

/// Compares what Bruno saved with what Ana has, byte for byte, and its hash with the announced one.
fn compare(
    house: &House,
    stored: &[Stored],
    records: &[ImageRecord],
    saved: &str,
) -> Result<(), Refusal> {
    for Stored { path, id } in stored {
        let copy = saved.lines().find_map(|line| {
            let (of, path) = line.strip_prefix("saved")?.trim_start().split_once("  ")?;
            (of == id).then(|| house.root().join(path))
        });
        let copy = copy.ok_or_else(|| broken(format!("image {id} was not downloaded")))?;
        let record = records.iter().find(|record| record.id.to_string() == *id);
        let announced = record.and_then(|record| record.hash).map(|hash| hash.to_string());
        let read = |error| file_error("compare", &copy, &error);
        let Some(hash) = same(path, &copy).map_err(read)? else {
            return Err(broken(format!(
                "`{}` is not what `{}` was",
                copy.display(),
                path.display()
            )));
        };
        if announced.as_deref() != Some(hash.as_str()) {
            return Err(broken(format!("image {id} was announced with another hash than {hash}")));
        }
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        house.print(&format!("  same  {hash}  {}", shown(&name)))?;
    }
    Ok(())
}

/// The hash of both files, if they are the same to the last byte.
fn same(one: &Path, other: &Path) -> io::Result<Option<String>> {
    let (mut one, mut other) = (File::open(one)?, File::open(other)?);
    let (mut left, mut right) = (vec![0; 64 * 1024], vec![0; 64 * 1024]);
    let mut hasher = blake3::Hasher::new();
    loop {
        let count = fill(&mut one, &mut left)?;
        if fill(&mut other, &mut right)? != count || left[..count] != right[..count] {
            return Ok(None);
        }
        if count == 0 {
            return Ok(Some(hasher.finalize().to_string()));
        }
        hasher.update(&left[..count]);
    }
}

/// Reads until the buffer is full or the file ends.
fn fill(from: &mut File, buffer: &mut [u8]) -> io::Result<usize> {
    let mut count = 0;
    while count < buffer.len() {
        match from.read(&mut buffer[count..])? {
            0 => break,
            more => count += more,
        }
    }
    Ok(count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_the_same_only_to_the_last_byte() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str, content: &[u8]| {
            let path = folder.path().join(name);
            fs::write(&path, content).unwrap();
            path
        };
        let long = vec![7; 64 * 1024 + 1];
        let one = file("one", &long);
        let hash = blake3::hash(&long).to_string();
        assert_eq!(same(&one, &file("two", &long)).unwrap(), Some(hash));
        assert_eq!(same(&one, &file("shorter", &long[1..])).unwrap(), None);
        let mut other = long;
        other[64 * 1024] = 8;
        assert_eq!(same(&one, &file("other", &other)).unwrap(), None);
    }
}
