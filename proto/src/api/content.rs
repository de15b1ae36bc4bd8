//! How contents are answered: originals and the pictures made of them. What a browser keeps, which part
//! it wants, what it may show by itself and what it has to save.

use std::ops::Range;

use crate::image::{BlobHash, ImageRecord};

use super::answer::Head;
use super::disposition;
use super::range::{Wanted, wanted};

/// For how long a browser keeps what its address names by its content: a year, which is for ever (RFC
/// 9111 knows no word for that).
const FOR_EVER: &str = "private, max-age=31536000, immutable";

/// Asked about each time: the address names an image, not its content.
const ASKED_ABOUT: &str = "private, no-cache";

/// What a browser may do with what others have uploaded: show it as an image, and nothing else.
const SANDBOX: &str = "sandbox; default-src 'none'; frame-ancestors 'none'";

/// Hex digits of a hash in an address.
const VERSION_DIGITS: usize = 16;

/// The media types that are shown as they are: pixels alone, which every browser draws or leaves.
/// Everything else is saved: what could have scripts or other pages in it, and what no browser shows.
const SHOWN: [&str; 7] = [
    "image/avif",
    "image/bmp",
    "image/gif",
    "image/jpeg",
    "image/png",
    "image/vnd.microsoft.icon",
    "image/webp",
];

/// The content that an address names: the first digits of the image's hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Version([u8; VERSION_DIGITS]);

impl Version {
    /// Of an image, for its addresses: `?v=` and this.
    #[must_use]
    pub fn of(hash: &BlobHash) -> Version {
        let mut digits = [b'0'; VERSION_DIGITS];
        for (digit, said) in digits.iter_mut().zip(hash.to_string().bytes()) {
            *digit = said;
        }
        Version(digits)
    }

    pub(super) fn parse(text: &str) -> Option<Version> {
        let is_digit = |byte: &u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(byte);
        let digits: [u8; VERSION_DIGITS] = text.as_bytes().try_into().ok()?;
        digits.iter().all(is_digit).then_some(Version(digits))
    }
}

/// How a content is asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Fetch {
    /// The content that the address names.
    pub version: Option<Version>,
    /// It is to be saved, not shown.
    pub is_download: bool,
    pub(super) none_match: Option<String>,
    pub(super) range: Option<String>,
    pub(super) if_range: Option<String>,
}

/// A content that can be answered.
#[derive(Debug, Clone)]
pub struct Content<'a> {
    /// The image that it is of.
    pub record: &'a ImageRecord,
    /// Its own hash: the record's for an original, another for a variant.
    pub hash: BlobHash,
    /// Bytes of it.
    pub size: u64,
    /// By its bytes.
    pub media_type: Option<&'a str>,
}

impl Fetch {
    /// The head of the answer, and which bytes of the content follow: none where the one who asks has
    /// them already, or wants some that are not there.
    #[must_use]
    pub fn answer(&self, content: &Content<'_>) -> (Head, Range<u64>) {
        let etag = format!("\"{}\"", content.hash);
        let is_named = match (self.version, content.record.hash) {
            (Some(version), Some(hash)) => version == Version::of(&hash),
            _ => false,
        };
        let kept = if is_named { FOR_EVER } else { ASKED_ABOUT };
        if self.none_match.as_deref().is_some_and(|line| is_among(line, &etag)) {
            let head = Head::new(304).with("etag", etag).with("cache-control", kept);
            return (head, 0..0);
        }
        let is_same = self.if_range.as_deref().is_none_or(|line| line.trim() == etag);
        let size = content.size;
        let (status, bytes) = match wanted(self.range.as_deref().filter(|_| is_same), size) {
            Wanted::Whole => (200, 0..size),
            Wanted::Part(bytes) => (206, bytes),
            Wanted::Beyond => {
                let head = Head::new(416)
                    .with("content-range", format!("bytes */{size}"))
                    .with("content-length", "0")
                    .with("cache-control", "no-store");
                return (head, 0..0);
            }
        };
        let shown = content.media_type.filter(|media_type| SHOWN.contains(media_type));
        let is_attachment = self.is_download || shown.is_none();
        let mut head = Head::new(status)
            .with("content-type", shown.unwrap_or("application/octet-stream"))
            .with("content-length", (bytes.end - bytes.start).to_string())
            .with("content-disposition", disposition::line(&content.record.name, is_attachment))
            .with("content-security-policy", SANDBOX)
            .with("x-content-type-options", "nosniff")
            .with("accept-ranges", "bytes")
            .with("cache-control", kept)
            .with("etag", etag);
        if status == 206 {
            let range = format!("bytes {}-{}/{size}", bytes.start, bytes.end.saturating_sub(1));
            head = head.with("content-range", range);
        }
        (head, bytes)
    }
}

/// Whether the tags of an `If-None-Match` have this one (RFC 9110, 13.1.2: weak tags count as well).
#[must_use]
pub fn is_among(line: &str, etag: &str) -> bool {
    line.trim() == "*"
        || line.split(',').map(str::trim).any(|tag| tag.strip_prefix("W/").unwrap_or(tag) == etag)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::ImageId;

    fn record() -> ImageRecord {
        let hash = Some(BlobHash([0xab; 32]));
        ImageRecord { hash, ..ImageRecord::bare(ImageId(7), "beach.jpg", "ana") }
    }

    fn answer(fetch: &Fetch, media_type: &str) -> (Head, Range<u64>) {
        let record = record();
        let hash = BlobHash([0xcd; 32]);
        let media_type = Some(media_type);
        fetch.answer(&Content { record: &record, hash, size: 1000, media_type })
    }

    #[test]
    fn an_address_that_names_the_content_is_kept_for_ever() {
        let named = Fetch { version: Version::parse("abababababababab"), ..Fetch::default() };
        let other = Fetch { version: Version::parse("abababababababac"), ..Fetch::default() };
        let kept = |fetch: &Fetch| {
            let (head, bytes) = answer(fetch, "image/png");
            assert_eq!((head.status, bytes), (200, 0..1000));
            assert_eq!(head.header("etag"), Some(format!("\"{}\"", "cd".repeat(32)).as_str()));
            head.header("cache-control").unwrap().to_owned()
        };
        assert_eq!(kept(&named), FOR_EVER);
        assert_eq!(kept(&other), ASKED_ABOUT);
        assert_eq!(kept(&Fetch::default()), ASKED_ABOUT);
        assert_eq!(Version::parse("abababababababab"), Some(Version::of(&BlobHash([0xab; 32]))));
        for text in ["", "abab", "ABABABABABABABAB", "ababababababababa", "xbababababababab"] {
            assert_eq!(Version::parse(text), None, "{text}");
        }
    }

    #[test]
    fn who_has_it_is_told_so() {
        let tag = format!("\"{}\"", "cd".repeat(32));
        for line in [
            tag.clone(),
            format!("W/{tag}"),
            format!("\"x\", {tag}"),
            format!("{tag},W/\"y\""),
            " * ".to_owned(),
        ] {
            // A part of what one has is had as well.
            let range = Some("bytes=0-1".to_owned());
            let fetch = Fetch { none_match: Some(line.clone()), range, ..Fetch::default() };
            let (head, bytes) = answer(&fetch, "image/png");
            assert_eq!((head.status, bytes), (304, 0..0), "{line}");
            assert_eq!(head.header("etag"), Some(tag.as_str()));
        }
        for line in ["\"x\"", "", "cd", &tag[1..], "\"*\""] {
            let fetch = Fetch { none_match: Some(line.to_owned()), ..Fetch::default() };
            assert_eq!(answer(&fetch, "image/png").0.status, 200, "{line}");
        }
    }

    #[test]
    fn a_part_is_of_what_was_begun() {
        let tag = format!("\"{}\"", "cd".repeat(32));
        let asked = |range: &str, if_range: Option<&str>| {
            let if_range = if_range.map(str::to_owned);
            let fetch = Fetch { range: Some(range.to_owned()), if_range, ..Fetch::default() };
            let (head, bytes) = answer(&fetch, "image/png");
            let said = head.header("content-range").unwrap_or_default().to_owned();
            let length = head.header("content-length").unwrap();
            assert_eq!(length, (bytes.end - bytes.start).to_string(), "{range}");
            (head.status, bytes, said)
        };
        assert_eq!(asked("bytes=0-99", None), (206, 0..100, "bytes 0-99/1000".to_owned()));
        assert_eq!(
            asked("bytes=-1", Some(&tag)),
            (206, 999..1000, "bytes 999-999/1000".to_owned())
        );
        assert_eq!(asked("bytes=1000-", None), (416, 0..0, "bytes */1000".to_owned()));
        let whole = (200, 0..1000, String::new());
        assert_eq!(asked("bytes=0-1,5-6", None), whole);
        for other in ["\"x\"", &format!("W/{tag}"), "Sat, 29 Oct 1994 19:43:31 GMT", "*"] {
            assert_eq!(asked("bytes=0-99", Some(other)), whole, "{other}");
        }
    }

    #[test]
    fn only_pixels_are_shown() {
        for media_type in SHOWN {
            let (head, _) = answer(&Fetch::default(), media_type);
            assert_eq!(head.header("content-type"), Some(media_type));
            assert!(head.header("content-disposition").unwrap().starts_with("inline; "));
            let (head, _) = answer(&Fetch { is_download: true, ..Fetch::default() }, media_type);
            assert!(head.header("content-disposition").unwrap().starts_with("attachment; "));
        }
        for media_type in [
            "image/svg+xml",
            "text/html",
            "application/xhtml+xml",
            "text/xml",
            "application/pdf",
            "image/tiff",
            "image/heic",
            "Image/PNG",
            "image/png; charset=x",
            "image/png\r\nx: y",
            "",
        ] {
            let (head, _) = answer(&Fetch::default(), media_type);
            assert_eq!(head.header("content-type"), Some("application/octet-stream"));
            assert!(head.header("content-disposition").unwrap().starts_with("attachment; "));
            let policy = head.header("content-security-policy").unwrap();
            assert!(policy.starts_with("sandbox; default-src 'none'"));
            assert_eq!(head.header("x-content-type-options"), Some("nosniff"));
        }
    }
}
