//! What the proofs ask of a daemon over its local socket, with the client that programs use. It
//! blocks: never call it from a task without `spawn_blocking` or `block_in_place`.

use std::path::Path;

use imgrepo_proto::Refusal;
use imgrepo_proto::control::client::Client;
use imgrepo_proto::control::reply::Status;
use imgrepo_proto::control::request::{Content, Upload};
use imgrepo_proto::control::{Outcome, Reply, Request, endpoint};
use imgrepo_proto::session::command::Program;
use imgrepo_proto::{BlobHash, ImageId, ImageRecord, ImageRef};

use crate::picture::Picture;

/// The local socket of the daemon of this home.
pub(crate) fn control(home: &Path) -> Client {
    try_control(home).expect("the daemon listens")
}

/// The same, of a daemon that may be gone.
pub(crate) fn try_control(home: &Path) -> Result<Client, Refusal> {
    let home = home.as_os_str().to_owned();
    let endpoint = endpoint::from_env(|name| (name == "IMGREPO_HOME").then(|| home.clone()));
    let program = Program { name: "proofs".to_owned(), version: "0".to_owned() };
    Client::connect(&endpoint, program)
}

/// Writes the picture into the directory and stores it.
pub(crate) fn upload(
    client: &mut Client,
    directory: &Path,
    picture: &Picture,
) -> Result<Outcome, Refusal> {
    client.call_with(&Request::Upload(upload_of(directory, picture)), &mut |_| Ok(()))
}

/// Writes the picture into the directory, unless it is there, for an upload of it.
pub(crate) fn upload_of(directory: &Path, picture: &Picture) -> Upload {
    let path = directory.join(&picture.name);
    if !path.exists() {
        std::fs::write(&path, &picture.content).expect("room");
    }
    Upload { name: picture.name.clone(), content: Content::Path(path), unless_deleted: false }
}

/// Fetches an image: its record, and length and hash of the bytes that came.
pub(crate) fn download(
    client: &mut Client,
    id: ImageId,
) -> Result<(ImageRecord, u64, BlobHash), Refusal> {
    let (mut hasher, mut len) = (blake3::Hasher::new(), 0);
    let request = Request::Download { image: ImageRef::Id(id), offset: 0 };
    let outcome = client.call_with(&request, &mut |reply| {
        if let Reply::Data(bytes) = reply {
            len += bytes.len() as u64;
            hasher.update(&bytes);
        }
        Ok(())
    })?;
    let Outcome::Image(record) = outcome else { panic!("{outcome:?} for a download") };
    Ok((record, len, BlobHash(*hasher.finalize().as_bytes())))
}

/// How everything is.
pub(crate) fn status(client: &mut Client) -> Status {
    match client.call(&Request::Status) {
        Ok(Outcome::Status(status)) => *status,
        other => panic!("{other:?} for a status"),
    }
}
