//! Paths on the control protocol: their bytes as MessagePack's `bin`, because a path of Unix need
//! not be UTF-8 and serde's own way refuses such a path. In JSON, which people read, a lossy text.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use serde::de::{Deserializer, Error, Visitor};
use serde::ser::Serializer;

pub(super) fn serialize<S: Serializer>(path: &Path, to: S) -> Result<S::Ok, S::Error> {
    if to.is_human_readable() {
        return to.serialize_str(&path.to_string_lossy());
    }
    to.serialize_bytes(path.as_os_str().as_encoded_bytes())
}

pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<PathBuf, D::Error> {
    struct BytesOrText;
    impl Visitor<'_> for BytesOrText {
        type Value = PathBuf;
        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("a path")
        }
        fn visit_str<E: Error>(self, text: &str) -> Result<PathBuf, E> {
            Ok(PathBuf::from(text))
        }
        fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<PathBuf, E> {
            os_string(bytes)
                .map(PathBuf::from)
                .ok_or_else(|| E::custom("a path must be UTF-8 here"))
        }
    }
    if from.is_human_readable() {
        return from.deserialize_str(BytesOrText);
    }
    from.deserialize_bytes(BytesOrText)
}

/// The same for a path that may be missing.
pub(super) mod optional {
    use std::path::{Path, PathBuf};

    use serde::de::{Deserialize as _, Deserializer};
    use serde::ser::{Serialize as _, Serializer};

    /// A path as a value of its own, for what only takes values.
    #[derive(serde::Serialize, serde::Deserialize)]
    struct Whole(#[serde(with = "super")] PathBuf);

    pub(in super::super) fn serialize<S: Serializer>(
        path: &Option<PathBuf>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        path.as_deref().map(Path::to_owned).map(Whole).serialize(to)
    }

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Option<PathBuf>, D::Error> {
        Ok(Option::<Whole>::deserialize(from)?.map(|Whole(path)| path))
    }
}

#[cfg(unix)]
fn os_string(bytes: &[u8]) -> Option<OsString> {
    use std::os::unix::ffi::OsStringExt as _;
    Some(OsString::from_vec(bytes.to_vec()))
}

#[cfg(not(unix))]
fn os_string(bytes: &[u8]) -> Option<OsString> {
    std::str::from_utf8(bytes).ok().map(OsString::from)
}
