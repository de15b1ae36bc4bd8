//! `Content-Disposition` (RFC 6266): under which name a content is saved, and whether it may be shown
//! instead. Names come from other people: what a browser makes of one is harmless on any system, and no
//! sign of it ends the header or a quoted text in it. Called by `content` alone.

use crate::name::file_name;

/// The line for a content of this name.
pub(super) fn line(name: &str, is_attachment: bool) -> String {
    let name = file_name(name);
    let kind = if is_attachment { "attachment" } else { "inline" };
    let mut plain = String::with_capacity(name.len());
    let mut extended = String::with_capacity(name.len());
    for c in name.chars() {
        // For programs that know no better: RFC 6266, appendix D, has no `%` in it, nor `\` nor `"`.
        let is_plain = c.is_ascii_alphanumeric() || " -._()+,=@~".contains(c);
        plain.push(if is_plain { c } else { '_' });
        for &byte in c.encode_utf8(&mut [0; 4]).as_bytes() {
            // Fewer than RFC 8187 (3.2.1) lets stand.
            if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
                extended.push(char::from(byte));
            } else {
                extended.push_str(&format!("%{byte:02X}"));
            }
        }
    }
    format!("{kind}; filename=\"{plain}\"; filename*=UTF-8''{extended}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_written_twice() {
        assert_eq!(
            line("beach.jpg", true),
            "attachment; filename=\"beach.jpg\"; filename*=UTF-8''beach.jpg"
        );
        assert_eq!(
            line("são joão 100%.jpg", false),
            "inline; filename=\"s_o jo_o 100_.jpg\"; \
             filename*=UTF-8''s%C3%A3o%20jo%C3%A3o%20100%25.jpg"
        );
    }

    #[test]
    fn no_name_says_more_than_a_name() {
        for name in [
            "a\"; filename=\"b.exe",
            "a\r\nSet-Cookie: x=1",
            "a\\\".jpg",
            "a;b,c='d'.jpg",
            "../../etc/passwd",
            "..\\..\\x",
            "%0d%0aX: y",
            "\u{202e}gpj.exe",
            "con",
            "",
            "\0\u{1b}[31m",
            "文件.png",
        ] {
            let line = line(name, true);
            assert!(line.bytes().all(|byte| (b' '..0x7f).contains(&byte)), "{line}");
            assert_eq!(line.matches('"').count(), 2, "{line}");
            assert_eq!(line.matches(';').count(), 2, "{line}");
            let (plain, extended) = line.split_once("; filename*=UTF-8''").unwrap();
            let plain = plain.strip_prefix("attachment; filename=\"").unwrap();
            assert!(!plain.contains(['/', '\\', '%', '\'']), "{line}");
            assert!(!extended.contains(['/', '\\', ' ', '\'']), "{line}");
            assert!(!extended.contains("%E2%80%AE") && !extended.contains("%2F"), "{line}");
        }
    }
}
