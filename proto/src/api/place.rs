//! The addresses of the API and the methods that each takes. Called by `request` alone.

use crate::image::ImageId;
use crate::session::command::Variant;

/// What an address names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Images,
    Image(ImageId),
    Exif(ImageId),
    Variant(ImageId, Variant),
    Original(ImageId),
    Restore(ImageId),
    Events,
    Me,
}

impl Place {
    /// Reads a path. An address is written in one way alone: nothing in it is percent-encoded, and
    /// numbers have no leading zeros.
    pub(super) fn of(path: &str) -> Option<Place> {
        let rest = path.strip_prefix("/api/")?;
        Some(match rest {
            "images" => Place::Images,
            "events" => Place::Events,
            "me" => Place::Me,
            _ => {
                let (id, what) = match rest.strip_prefix("images/")?.split_once('/') {
                    Some((id, what)) => (id, Some(what)),
                    None => (rest.strip_prefix("images/")?, None),
                };
                let id = ImageId(number(id)?);
                match what {
                    None => Place::Image(id),
                    Some("exif") => Place::Exif(id),
                    Some("original") => Place::Original(id),
                    Some("restore") => Place::Restore(id),
                    Some(word) => {
                        let named = |variant: &Variant| variant.word() == word;
                        Place::Variant(id, Variant::ALL.into_iter().find(named)?)
                    }
                }
            }
        })
    }

    /// The methods that it takes (RFC 9110, 10.2.1).
    pub(super) fn allow(self) -> &'static str {
        match self {
            Place::Images => "GET, HEAD, POST",
            Place::Image(_) => "GET, HEAD, PATCH, DELETE",
            Place::Restore(_) => "POST",
            Place::Exif(_) | Place::Variant(..) | Place::Original(_) => "GET, HEAD",
            Place::Events | Place::Me => "GET, HEAD",
        }
    }
}

/// A number as we write it: digits, the first of several not a zero.
pub(super) fn number(text: &str) -> Option<u64> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit())
        && (text.len() == 1 || !text.starts_with('0'));
    is_plain.then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_written_in_one_way() {
        assert_eq!(Place::of("/api/images/7"), Some(Place::Image(ImageId(7))));
        assert_eq!(
            Place::of("/api/images/7/512"),
            Some(Place::Variant(ImageId(7), Variant::Medium))
        );
        let most = u64::MAX;
        assert_eq!(Place::of(&format!("/api/images/{most}")), Some(Place::Image(ImageId(most))));
        for path in [
            "",
            "/",
            "/api",
            "/api/",
            "/api/images/",
            "/api//images",
            "/api/images//7",
            "/api/images/07",
            "/api/images/+7",
            "/api/images/-7",
            "/api/images/%37",
            "/api/images/7/",
            "/api/images/7/256/",
            "/api/images/7/300",
            "/api/images/7/Original",
            "/api/images/7/original/../exif",
            "/api/images/18446744073709551616",
            "/api/images/x",
            "/API/images",
            "/api/images;7",
            "/api/me/",
            "/api/events/1",
            "api/images",
        ] {
            assert_eq!(Place::of(path), None, "{path}");
        }
    }
}
