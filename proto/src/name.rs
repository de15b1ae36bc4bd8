//! Names of images and of persons: what is refused, what is kept, how a name is shown and how it
//! becomes a file's name. Called by everyone who takes a name from a peer, a disk or a person.

use std::fmt::{self, Write as _};

use serde::{Deserialize, Serialize};
use unicode_normalization::UnicodeNormalization as _;

use crate::limits::{MAX_IMAGE_NAME_BYTES, MAX_PERSON_NAME_BYTES};

/// Why a name is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Nothing is left of it.
    #[error("a name must not be empty")]
    Empty,
    /// It has more bytes of UTF-8 than this many.
    #[error("a name must not be longer than {0} bytes")]
    TooLong(usize),
    /// It has this character, which no name may have.
    #[error("a name must not contain '{}'", shown(&.0.to_string()))]
    Forbidden(char),
    /// It is `.` or `..`.
    #[error("a name must not be `.` or `..`")]
    Dots,
}

/// The name of an image: NFC, at most 255 bytes, no NUL, `/` or `\`, not `.` or `..`. All else is
/// kept as it was given.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ImageName(String);

impl ImageName {
    /// Takes a name, in NFC.
    ///
    /// # Errors
    /// Names that no image can have, see [`NameError`].
    pub fn parse(text: &str) -> Result<Self, NameError> {
        // NFC grows a text threefold at most (UAX #15), so what is far too long is not normalised.
        if text.len() > 3 * MAX_IMAGE_NAME_BYTES {
            return Err(NameError::TooLong(MAX_IMAGE_NAME_BYTES));
        }
        let name: String = text.nfc().collect();
        if name.is_empty() {
            return Err(NameError::Empty);
        }
        if name.len() > MAX_IMAGE_NAME_BYTES {
            return Err(NameError::TooLong(MAX_IMAGE_NAME_BYTES));
        }
        if let Some(bad) = name.chars().find(|c| matches!(c, '\0' | '/' | '\\')) {
            return Err(NameError::Forbidden(bad));
        }
        if name == "." || name == ".." {
            return Err(NameError::Dots);
        }
        Ok(ImageName(name))
    }

    /// Takes a file's name as the disk has it: bytes that are not UTF-8 become `%XX`.
    ///
    /// # Errors
    /// As [`ImageName::parse`].
    pub fn from_disk(bytes: &[u8]) -> Result<Self, NameError> {
        let mut name = String::new();
        for part in bytes.utf8_chunks() {
            name.push_str(part.valid());
            for byte in part.invalid() {
                let _ = write!(name, "%{byte:02X}");
            }
        }
        ImageName::parse(&name)
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ImageName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for ImageName {
    type Error = NameError;

    fn try_from(text: String) -> Result<Self, NameError> {
        ImageName::parse(&text)
    }
}

impl From<ImageName> for String {
    fn from(name: ImageName) -> String {
        name.0
    }
}

/// The name of a person: trimmed, NFC, 1 to 64 bytes, no control characters.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PersonName(String);

impl PersonName {
    /// Takes a name, trimmed and in NFC.
    ///
    /// # Errors
    /// Names that no person can have, see [`NameError`].
    pub fn parse(text: &str) -> Result<Self, NameError> {
        let text = text.trim();
        if text.len() > 3 * MAX_PERSON_NAME_BYTES {
            return Err(NameError::TooLong(MAX_PERSON_NAME_BYTES));
        }
        let name: String = text.nfc().collect();
        if name.is_empty() {
            return Err(NameError::Empty);
        }
        if name.len() > MAX_PERSON_NAME_BYTES {
            return Err(NameError::TooLong(MAX_PERSON_NAME_BYTES));
        }
        if let Some(bad) = name.chars().find(|c| c.is_control()) {
            return Err(NameError::Forbidden(bad));
        }
        Ok(PersonName(name))
    }

    /// The name of whoever gives none: the old system's.
    #[must_use]
    pub fn anon() -> Self {
        PersonName("anon".to_owned())
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for PersonName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for PersonName {
    type Error = NameError;

    fn try_from(text: String) -> Result<Self, NameError> {
        PersonName::parse(&text)
    }
}

impl From<PersonName> for String {
    fn from(name: PersonName) -> String {
        name.0
    }
}

/// Whether a character could act on a terminal or turn the text around it: control characters (C0,
/// DEL, C1), the line and paragraph separators, and the bidi controls of UAX #9.
#[must_use]
pub fn is_unsafe_to_show(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{061c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// A text from a peer, safe to show: every character that [`is_unsafe_to_show`] becomes `\uXXXX`.
/// For terminals, pipes and logs alike.
#[must_use]
pub fn shown(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        if is_unsafe_to_show(c) {
            let _ = write!(safe, "\\u{:04x}", u32::from(c));
        } else {
            safe.push(c);
        }
    }
    safe
}

/// The name that a downloaded image's file gets: the image's own where that is harmless anywhere,
/// and else encoded. Names of devices on Windows and names that begin with a dot get a `_` before
/// them; characters that Windows refuses, that act on a terminal or turn text around become `%XX`
/// of their UTF-8; so does a dot or space at the end.
///
/// The text may come straight from a peer: whatever it is, the outcome is one plain file name of at
/// most 255 bytes.
#[must_use]
pub fn file_name(name: &str) -> String {
    const DEVICES: [&str; 4] = ["CON", "PRN", "AUX", "NUL"];
    let stem = name.split('.').next().unwrap_or_default().trim_end().to_ascii_uppercase();
    let numbered = |device: &str| {
        stem.strip_prefix(device).is_some_and(|rest| {
            let mut rest = rest.chars();
            matches!(rest.next(), Some('1'..='9' | '¹' | '²' | '³')) && rest.next().is_none()
        })
    };
    let is_device = DEVICES.contains(&stem.as_str()) || numbered("COM") || numbered("LPT");
    let mut file = String::with_capacity(name.len() + 1);
    if is_device || name.starts_with('.') || name.is_empty() {
        file.push('_');
    }
    let last = name.chars().count().saturating_sub(1);
    for (at, c) in name.chars().enumerate() {
        let refused = matches!(c, '/' | '\\' | '<' | '>' | ':' | '"' | '|' | '?' | '*')
            || is_unsafe_to_show(c)
            || (at == last && matches!(c, '.' | ' '));
        if refused {
            let mut bytes = [0; 4];
            for byte in c.encode_utf8(&mut bytes).bytes() {
                let _ = write!(file, "%{byte:02X}");
            }
        } else {
            file.push(c);
        }
    }
    shorten(file)
}

/// Cuts a file's name to 255 bytes before its extension, at a character's border.
fn shorten(file: String) -> String {
    if file.len() <= MAX_IMAGE_NAME_BYTES {
        return file;
    }
    let (stem, extension) = match file.rfind('.') {
        Some(dot) if file.len() - dot <= 16 => file.split_at(dot),
        _ => (file.as_str(), ""),
    };
    let end = stem.floor_char_boundary(MAX_IMAGE_NAME_BYTES - extension.len());
    let stem = &stem[..end];
    // A dot or space at the end of all is lost on Windows, and two names become one.
    match (stem.trim_end_matches(['.', ' ']), extension) {
        ("", "") => "_".to_owned(),
        (stem, "") => stem.to_owned(),
        _ => format!("{stem}{extension}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_name_is_nfc_and_refuses_what_no_file_could_be() {
        assert_eq!(ImageName::parse("cafe\u{301}.jpg").unwrap().as_str(), "café.jpg");
        assert_eq!(ImageName::parse(""), Err(NameError::Empty));
        assert_eq!(ImageName::parse(".."), Err(NameError::Dots));
        assert_eq!(ImageName::parse("a/b"), Err(NameError::Forbidden('/')));
        assert_eq!(ImageName::parse("a\\b"), Err(NameError::Forbidden('\\')));
        assert_eq!(ImageName::parse("a\0b"), Err(NameError::Forbidden('\0')));
        assert!(ImageName::parse(&"x".repeat(255)).is_ok());
        assert_eq!(ImageName::parse(&"x".repeat(256)), Err(NameError::TooLong(255)));
        assert_eq!(ImageName::from_disk(b"a\xff.png").unwrap().as_str(), "a%FF.png");
    }

    #[test]
    fn a_file_name_is_harmless_whatever_the_image_is_called() {
        assert_eq!(file_name("holiday (2).jpg"), "holiday (2).jpg");
        assert_eq!(file_name("NUL.jpg"), "_NUL.jpg");
        assert_eq!(file_name("com1"), "_com1");
        assert_eq!(file_name("common.png"), "common.png");
        assert_eq!(file_name(".bashrc"), "_.bashrc");
        assert_eq!(file_name(".."), "_.%2E");
        assert_eq!(file_name("../../etc/passwd"), "_..%2F..%2Fetc%2Fpasswd");
        assert_eq!(file_name("a\u{202e}gpj.exe"), "a%E2%80%AEgpj.exe");
        assert_eq!(file_name(""), "_");
        let long = file_name(&format!("{}.jpg", "\u{202e}".repeat(80)));
        assert!(long.len() <= 255 && long.ends_with(".jpg"), "{long}");
        // What is cut off may leave an end that Windows does not keep.
        for gap in [" ", ".", ". . "] {
            let long =
                file_name(&format!("{}{gap}{}", "x".repeat(255 - gap.len()), "y".repeat(40)));
            assert_eq!(file_name(&long), long);
            assert!(long.ends_with('x'), "{long}");
        }
        assert_eq!(file_name(&" ".repeat(300)), "_");
    }

    #[test]
    fn what_is_shown_cannot_act_on_a_terminal() {
        assert_eq!(shown("a\x1b[31m\u{202e}b\u{9b}"), "a\\u001b[31m\\u202eb\\u009b");
        assert_eq!(shown("naïve 写真.png"), "naïve 写真.png");
    }

    #[test]
    fn a_person_is_trimmed() {
        assert_eq!(PersonName::parse("  ana ").unwrap().as_str(), "ana");
        assert_eq!(PersonName::parse("  "), Err(NameError::Empty));
        assert_eq!(PersonName::parse("a\nb"), Err(NameError::Forbidden('\n')));
    }
}
