//! Which bytes of a content a request wants (RFC 9110, 14.1.2). Called by `content` alone.

use std::ops::Range;

/// What a `Range` line asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Wanted {
    /// All of it: there is no such line, or one that a server is free to ignore: another unit, one that
    /// cannot be read, or several ranges, which no viewer of images asks for.
    Whole,
    /// These bytes, at least one.
    Part(Range<u64>),
    /// Nothing that is there.
    Beyond,
}

/// Reads `bytes=0-99`, `bytes=100-` or `bytes=-100`.
pub(super) fn wanted(line: Option<&str>, size: u64) -> Wanted {
    let part = line.and_then(|line| line.trim().split_once('='));
    let Some((first, last)) = part
        .filter(|(unit, _)| unit.trim().eq_ignore_ascii_case("bytes"))
        .and_then(|(_, part)| part.trim().split_once('-'))
    else {
        return Wanted::Whole;
    };
    match (position(first.trim_end()), position(last.trim_start())) {
        (Some(Some(first)), Some(last)) => {
            if last.is_some_and(|last| last < first) {
                return Wanted::Whole;
            }
            let end = last.map_or(size, |last| last.saturating_add(1).min(size));
            if first < size { Wanted::Part(first..end) } else { Wanted::Beyond }
        }
        (Some(None), Some(Some(length))) => {
            let length = length.min(size);
            if length > 0 { Wanted::Part(size - length..size) } else { Wanted::Beyond }
        }
        _ => Wanted::Whole,
    }
}

/// A position that may be missing; None where it is neither. One that is too large for us is beyond
/// every content all the same.
fn position(text: &str) -> Option<Option<u64>> {
    match text.bytes().all(|byte| byte.is_ascii_digit()) {
        true if text.is_empty() => Some(None),
        true => Some(Some(text.parse().unwrap_or(u64::MAX))),
        false => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_range_is_taken_and_what_is_none_is_ignored() {
        let of_100 = |line| wanted(Some(line), 100);
        for (line, range) in [
            ("bytes=0-99", 0..100),
            ("bytes=0-0", 0..1),
            ("bytes=99-99", 99..100),
            ("bytes=10-", 10..100),
            ("bytes=10-1000", 10..100),
            ("bytes=10-99999999999999999999999", 10..100),
            ("bytes=-1", 99..100),
            ("bytes=-100", 0..100),
            ("bytes=-101", 0..100),
            (" Bytes = 1-2 ", 1..3),
        ] {
            assert_eq!(of_100(line), Wanted::Part(range), "{line}");
        }
        for line in ["bytes=100-", "bytes=100-200", "bytes=-0", "bytes=99999999999999999999999-"] {
            assert_eq!(of_100(line), Wanted::Beyond, "{line}");
        }
        for line in [
            "",
            "bytes",
            "bytes=",
            "bytes=-",
            "bytes=5",
            "bytes=9-5",
            "bytes=a-b",
            "bytes=+1-2",
            "bytes=1-2,4-5",
            "bytes=0-0,-1",
            "lines=1-2",
            "bytes=1--2",
        ] {
            assert_eq!(of_100(line), Wanted::Whole, "{line}");
        }
        assert_eq!(wanted(None, 100), Wanted::Whole);
        for line in ["bytes=0-", "bytes=0-0", "bytes=-5"] {
            assert_eq!(wanted(Some(line), 0), Wanted::Beyond, "of nothing: {line}");
        }
        assert_eq!(wanted(Some("bytes=0-18446744073709551615"), 7), Wanted::Part(0..7));
    }
}
