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

#[cfg(unix)]
fn os_string(bytes: &[u8]) -> Option<OsString> {
    use std::os::unix::ffi::OsStringExt as _;
    Some(OsString::from_vec(bytes.to_vec()))
}

#[cfg(not(unix))]
fn os_string(bytes: &[u8]) -> Option<OsString> {
    std::str::from_utf8(bytes).ok().map(OsString::from)
}
