//! What a backup is: `backup.json`, pure. A newer version's is told from a damaged one; neither is ever
//! replaced by a guess.

use imgrepo_proto::{BlobHash, RepositoryId, Seq};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// The version that this program writes, and the newest that it reads.
const VERSION: u32 = 1;

/// A backup that is whole, but for what it says is missing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Manifest {
    /// The format's version.
    pub(super) v: u32,
    /// The program that made it, for people.
    pub(super) program: String,
    /// Of which repository.
    pub(super) repository: RepositoryId,
    /// Under which name its owner keeps it.
    pub(super) owner: String,
    /// When it was made.
    pub(super) made_at: Timestamp,
    /// The newest change in it, and when that was made: by both it is seen whether a repository still
    /// has the same history.
    pub(super) seq: Seq,
    pub(super) changed_at: Option<Timestamp>,
    /// The folder of its snapshot.
    pub(super) snapshot: u64,
    /// What lies in that.
    pub(super) files: Vec<Listed>,
    /// Images, contents and their bytes, for people.
    pub(super) images: u64,
    pub(super) contents: u64,
    pub(super) content_bytes: u64,
    /// Contents that could not be copied.
    pub(super) missing: Vec<BlobHash>,
}

/// A file of a snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Listed {
    pub(super) name: String,
    pub(super) bytes: u64,
    pub(super) hash: BlobHash,
}

/// Why a manifest cannot be used.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum BadManifest {
    #[error(
        "it was made by a newer version of this program (its format is {0}, this one knows {VERSION})"
    )]
    Newer(u32),
    #[error("its backup.json is damaged: {0}")]
    Damaged(String),
}

impl Manifest {
    /// The version of one that is made now.
    pub(super) const VERSION: u32 = VERSION;

    /// The program that makes one now.
    pub(super) const PROGRAM: &str =
        concat!(env!("CARGO_PKG_NAME"), " ", env!("CARGO_PKG_VERSION"));

    pub(super) fn decode(bytes: &[u8]) -> Result<Manifest, BadManifest> {
        /// Alone: the rest is the version's own matter.
        #[derive(Deserialize)]
        struct Version {
            v: u32,
        }
        let damaged = |error: serde_json::Error| BadManifest::Damaged(error.to_string());
        let Version { v } = serde_json::from_slice(bytes).map_err(damaged)?;
        if v > VERSION {
            return Err(BadManifest::Newer(v));
        }
        let manifest: Manifest = serde_json::from_slice(bytes).map_err(damaged)?;
        let is_plain = |name: &str| {
            !name.is_empty() && !name.contains(['/', '\\', '\0']) && name != "." && name != ".."
        };
        match manifest.files.iter().find(|file| !is_plain(&file.name)) {
            Some(file) => Err(BadManifest::Damaged(format!("`{}` is no file's name", file.name))),
            None => Ok(manifest),
        }
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        // Nothing in it can fail to be written as JSON.
        let mut text = serde_json::to_vec_pretty(self).unwrap_or_default();
        text.push(b'\n');
        text
    }

    /// A file of its snapshot.
    pub(super) fn file(&self, name: &str) -> Option<&Listed> {
        self.files.iter().find(|file| file.name == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest() -> Manifest {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let file = Listed { name: "catalog.db".to_owned(), bytes: 9, hash: BlobHash([1; 32]) };
        Manifest {
            v: Manifest::VERSION,
            program: Manifest::PROGRAM.to_owned(),
            repository: RepositoryId("r".to_owned()),
            owner: "olga".to_owned(),
            made_at: at("2026-05-01T12:34:56Z"),
            seq: Seq(7),
            changed_at: Some(at("2026-05-01T12:00:00Z")),
            snapshot: 3,
            files: vec![file],
            images: 4,
            contents: 5,
            content_bytes: 6,
            missing: vec![BlobHash([2; 32])],
        }
    }

    #[test]
    fn it_is_read_as_it_was_written() {
        let manifest = manifest();
        assert_eq!(Manifest::decode(&manifest.encode()), Ok(manifest.clone()));
        assert_eq!(manifest.file("catalog.db").map(|file| file.bytes), Some(9));
        assert_eq!(manifest.file("key.pem"), None);
    }

    #[test]
    fn what_is_damaged_or_newer_is_said_to_be() {
        let text = String::from_utf8(manifest().encode()).unwrap();
        let newer = text.replace("\"v\": 1", "\"v\": 2").replace("files", "leaves");
        assert_eq!(Manifest::decode(newer.as_bytes()), Err(BadManifest::Newer(2)));
        let outside = text.replace("catalog.db", "../catalog.db");
        for damaged in ["", "{}", &text[..text.len() / 2], &text.replace("seq", "sea"), &outside] {
            let read = Manifest::decode(damaged.as_bytes());
            assert!(matches!(read, Err(BadManifest::Damaged(_))), "{damaged}: {read:?}");
        }
    }
}
