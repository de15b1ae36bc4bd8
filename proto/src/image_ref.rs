//! How a person names an image on a command line: `7`, `name:7`, `beach.jpg`, `@last`.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::image::ImageId;
use crate::name::{ImageName, NameError};

/// An image as a person names it; the daemon resolves it against the repository.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ImageRef {
    /// Its number.
    Id(ImageId),
    /// Its exact name.
    Name(ImageName),
    /// The newest that is not in the trash.
    Last,
}

impl ImageRef {
    /// Reads a reference: digits are an id, `name:` forces a name, `@last` is the newest, all else
    /// is an exact name.
    ///
    /// # Errors
    /// A text that can name no image.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        if let Some(name) = text.strip_prefix("name:") {
            return ImageName::parse(name).map(ImageRef::Name);
        }
        if text == "@last" {
            return Ok(ImageRef::Last);
        }
        if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
            // A number beyond any id names an image that cannot exist: it is looked up all the same.
            return Ok(ImageRef::Id(ImageId(text.parse().unwrap_or(u64::MAX))));
        }
        ImageName::parse(text).map(ImageRef::Name)
    }
}

impl fmt::Display for ImageRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ImageRef::Id(id) => id.fmt(f),
            ImageRef::Name(name) => write!(f, "`{}`", crate::name::shown(name.as_str())),
            ImageRef::Last => f.write_str("@last"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_an_id_and_everything_else_a_name() {
        let name = |text| ImageRef::Name(ImageName::parse(text).unwrap());
        assert_eq!(ImageRef::parse("7"), Ok(ImageRef::Id(ImageId(7))));
        assert_eq!(ImageRef::parse("name:7"), Ok(name("7")));
        assert_eq!(ImageRef::parse("7.jpg"), Ok(name("7.jpg")));
        assert_eq!(ImageRef::parse("-7"), Ok(name("-7")));
        assert_eq!(ImageRef::parse("@last"), Ok(ImageRef::Last));
        assert_eq!(ImageRef::parse("name:@last"), Ok(name("@last")));
        assert_eq!(ImageRef::parse(&"9".repeat(40)), Ok(ImageRef::Id(ImageId(u64::MAX))));
        assert_eq!(ImageRef::parse(""), Err(NameError::Empty));
    }
}
