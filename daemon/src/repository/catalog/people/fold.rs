//! When two names of persons look the same: the form that they are compared in. Called by `joining` and
//! both catalogs wherever it is asked whether a name is taken. It is never shown and never stored: a
//! person keeps the name as it was written.
//!
//! Letters of other scripts stay what they are: a Cyrillic `а` is no Latin `a` here. To tell those apart
//! takes the tables of UTS #39, and would refuse names that people rightly bear.

use imgrepo_proto::PersonName;
use unicode_normalization::UnicodeNormalization as _;

/// The name without what does not change how it looks: in compatible forms (NFKC) and one case, without
/// what shows nothing, and with one space for every run of blanks.
pub(crate) fn folded(name: &PersonName) -> String {
    let text = name.as_str();
    if text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return text.to_ascii_lowercase();
    }
    // By way of upper case: `ß` is `SS` there, and both sigmas are one. `ẞ` is `ß` first.
    let one_case = text
        .chars()
        .filter(|c| !shows_nothing(*c))
        .nfkc()
        .flat_map(char::to_lowercase)
        .flat_map(char::to_uppercase)
        .flat_map(char::to_lowercase)
        .nfkc();
    let mut folded = String::with_capacity(text.len());
    let mut blank = false;
    for c in one_case.filter(|c| !shows_nothing(*c)) {
        if is_blank(c) {
            blank = !folded.is_empty();
            continue;
        }
        if std::mem::take(&mut blank) {
            folded.push(' ');
        }
        folded.push(c);
    }
    folded
}

/// White space, and the Braille cell without dots, which looks like it.
fn is_blank(c: char) -> bool {
    c.is_whitespace() || c == '\u{2800}'
}

/// Unicode's `Default_Ignorable_Code_Point`, the marks of interlinear notes, and the dot that is left
/// over an `i` in lower case (`İ`), which an `i` has anyway.
fn shows_nothing(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{34f}' | '\u{307}' | '\u{61c}' | '\u{115f}'..='\u{1160}'
        | '\u{17b4}'..='\u{17b5}' | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}'
        | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}'
        | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{1bca0}'..='\u{1bca3}'
        | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fold(text: &str) -> String {
        folded(&PersonName::parse(text).unwrap())
    }

    #[test]
    fn names_that_look_the_same_are_the_same() {
        for name in [
            "ana",
            "ANA",
            "Ana",
            "ana\u{200b}",
            "a\u{ad}na",
            "\u{2060}ana",
            "an\u{fe0f}a",
            "\u{202e}ana",
            "ａｎａ",
            "𝐚𝐧𝐚",
            "\u{200b} ana \u{200b}",
            "\u{e0061}ana",
        ] {
            assert_eq!(fold(name), "ana", "{name:?}");
        }
        for name in ["ana maria", "Ana  Maria", "ANA\u{a0}MARIA", "ana \u{200b} maria"] {
            assert_eq!(fold(name), "ana maria", "{name:?}");
        }
        assert_eq!(fold("STRASSE"), fold("straße"));
        assert_eq!(fold("ΣΊΣΥΦΟΣ"), fold("σίσυφος"));
        assert_eq!(fold("ÉLODIE"), fold("e\u{301}lodie"));
        assert_eq!(fold("İnci"), fold("inci"));
        assert_eq!(fold("ana （Guest）"), "ana (guest)");
        assert_eq!(fold("\u{200b}"), "");
    }

    #[test]
    fn names_that_look_different_differ() {
        let names = ["ana", "anna", "an a", "aná", "ana2", "a.na", "аna", "ana-", "hanа"];
        for (at, one) in names.iter().enumerate() {
            for other in &names[..at] {
                assert_ne!(fold(one), fold(other));
            }
        }
    }

    #[test]
    fn a_folded_name_is_folded_already() {
        // Beyond these planes nothing has two forms or cases.
        for c in '\u{20}'..='\u{1ffff}' {
            let Ok(name) = PersonName::parse(&format!("a{c}b")) else { continue };
            let once = folded(&name);
            let Ok(again) = PersonName::parse(&once) else { continue };
            assert_eq!(folded(&again), once, "{c:?}");
        }
    }
}
