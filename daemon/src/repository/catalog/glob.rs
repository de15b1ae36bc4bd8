//! Names looked for without regard to case: a glob over the whole name, a text anywhere in it, and
//! the fold that makes two names equal.
//!
//! Called by the catalogs, which also index names folded by [`fold`]. Pure; a match takes at most
//! name length times pattern length steps, both bounded, whatever the pattern is.

use imgrepo_proto::{ErrorCode, Refusal};
use unicode_normalization::UnicodeNormalization as _;

/// The longest pattern or text, in bytes. Four times the longest name: room for a class a character.
pub const MAX_PATTERN_BYTES: usize = 1024;

/// A character without its case. One becomes one, so that `?` counts what people count; characters
/// whose other case is two (`ß`) keep theirs.
#[must_use]
pub fn fold_char(c: char) -> char {
    fn one(mut mapped: impl Iterator<Item = char>, otherwise: char) -> char {
        match (mapped.next(), mapped.next()) {
            (Some(only), None) => only,
            _ => otherwise,
        }
    }
    if c.is_ascii() {
        return c.to_ascii_lowercase();
    }
    // By way of upper case, where `ς` and `σ` meet.
    let upper = one(c.to_uppercase(), c);
    one(upper.to_lowercase(), upper)
}

/// A text without its case, see [`fold_char`].
#[must_use]
pub fn fold(text: &str) -> String {
    text.chars().map(fold_char).collect()
}

/// One thing that a glob asks of a name.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    /// This character, folded.
    Literal(char),
    /// Any one character.
    One,
    /// One of (or none of) these ranges.
    Class { negated: bool, ranges: Vec<(char, char)> },
    /// Any characters, none too.
    Many,
}

impl Piece {
    fn fits(&self, c: char) -> bool {
        match self {
            Piece::Literal(literal) => *literal == fold_char(c),
            Piece::One => true,
            Piece::Class { negated, ranges } => {
                let within = |c: char| ranges.iter().any(|(from, to)| (*from..=*to).contains(&c));
                let folded = fold_char(c);
                let mut upper = folded.to_uppercase();
                let found = within(c)
                    || within(folded)
                    || matches!((upper.next(), upper.next()), (Some(c), None) if within(c));
                found != *negated
            }
            Piece::Many => false,
        }
    }
}

/// A glob over a whole name: `*` is any characters, `?` one, `[a-z]` one of these, `[!x]` one other.
/// A character of these that is meant itself stands in brackets: `[*]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NameGlob {
    pieces: Vec<Piece>,
}

impl NameGlob {
    /// Reads a pattern.
    ///
    /// # Errors
    /// `bad_request` for one that is too long, has a `[` without its `]`, or a range that ends
    /// before it begins.
    pub fn parse(pattern: &str) -> Result<NameGlob, Refusal> {
        let bad = |why: &str| {
            let shown = imgrepo_proto::name::shown(pattern);
            Refusal::new(
                ErrorCode::BadRequest,
                format!("cannot read `{shown}` as a pattern: {why}"),
            )
        };
        checked_length(pattern)?;
        let mut pieces = Vec::new();
        let mut chars = pattern.nfc().peekable();
        while let Some(c) = chars.next() {
            let piece = match c {
                // Several stars say no more than one.
                '*' if pieces.last() == Some(&Piece::Many) => continue,
                '*' => Piece::Many,
                '?' => Piece::One,
                '[' => {
                    let negated = chars.next_if_eq(&'!').is_some();
                    let mut ranges: Vec<(char, char)> = Vec::new();
                    loop {
                        let from = chars.next().ok_or_else(|| bad("a `[` has no `]`"))?;
                        // The first one is meant itself: there are no empty classes.
                        if from == ']' && !ranges.is_empty() {
                            break;
                        }
                        if chars.peek() != Some(&'-') {
                            ranges.push((from, from));
                            continue;
                        }
                        chars.next();
                        match chars.next() {
                            None => return Err(bad("a `[` has no `]`")),
                            Some(']') => {
                                ranges.extend([(from, from), ('-', '-')]);
                                break;
                            }
                            Some(to) if to < from => return Err(bad("a range goes backwards")),
                            Some(to) => ranges.push((from, to)),
                        }
                    }
                    Piece::Class { negated, ranges }
                }
                literal => Piece::Literal(fold_char(literal)),
            };
            pieces.push(piece);
        }
        Ok(NameGlob { pieces })
    }

    /// Whether the whole name fits.
    #[must_use]
    pub fn fits(&self, name: &str) -> bool {
        let name: Vec<char> = name.chars().collect();
        let (mut at, mut piece) = (0, 0);
        // Behind the last star: the piece there, and where in the name it was tried last. Going back
        // to an earlier star could never help: the later one takes what that would.
        let mut star: Option<(usize, usize)> = None;
        while at < name.len() {
            match self.pieces.get(piece) {
                Some(Piece::Many) => {
                    piece += 1;
                    star = Some((piece, at));
                }
                Some(other) if other.fits(name[at]) => {
                    piece += 1;
                    at += 1;
                }
                _ => {
                    let Some((behind, tried)) = star else { return false };
                    star = Some((behind, tried + 1));
                    piece = behind;
                    at = tried + 1;
                }
            }
        }
        self.pieces[piece..].iter().all(|rest| *rest == Piece::Many)
    }

    /// The most steps that a character of a name takes: that of each piece, and of each of its ranges.
    #[must_use]
    pub fn steps(&self) -> usize {
        let steps = |piece: &Piece| match piece {
            Piece::Class { ranges, .. } => 4 + ranges.len(),
            _ => 1,
        };
        self.pieces.iter().map(steps).sum()
    }

    /// Folded texts that every fitting name has in it.
    #[must_use]
    pub fn literals(&self) -> Vec<String> {
        let mut literals = vec![String::new()];
        for piece in &self.pieces {
            match (piece, literals.last_mut()) {
                (Piece::Literal(c), Some(last)) => last.push(*c),
                _ => literals.push(String::new()),
            }
        }
        literals.retain(|literal| !literal.is_empty());
        literals
    }
}

/// A text that a name must have in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NameText {
    folded: String,
}

impl NameText {
    /// Takes the text.
    ///
    /// # Errors
    /// `bad_request` for one that is too long.
    pub fn parse(text: &str) -> Result<NameText, Refusal> {
        checked_length(text)?;
        Ok(NameText { folded: text.nfc().map(fold_char).collect() })
    }

    /// Whether the name has it.
    #[must_use]
    pub fn fits(&self, name: &str) -> bool {
        fold(name).contains(&self.folded)
    }

    /// The text without its case.
    #[must_use]
    pub fn folded(&self) -> &str {
        &self.folded
    }
}

fn checked_length(text: &str) -> Result<(), Refusal> {
    match text.len() {
        0..=MAX_PATTERN_BYTES => Ok(()),
        long => Err(Refusal::new(
            ErrorCode::BadRequest,
            format!("cannot look for a text of {long} bytes: the limit is {MAX_PATTERN_BYTES}"),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn fits(pattern: &str, name: &str) -> bool {
        NameGlob::parse(pattern).unwrap().fits(name)
    }

    #[test]
    fn a_glob_is_over_the_whole_name_without_regard_to_case() {
        for (pattern, name, expected) in [
            ("", "", true),
            ("", "a", false),
            ("*", "", true),
            ("*", "anything", true),
            ("*.jpg", "Beach.JPG", true),
            ("*.jpg", "beach.jpg.txt", false),
            ("beach", "beach.jpg", false),
            ("?each*", "Beach.jpg", true),
            ("?", "é", true),
            ("?", "", false),
            ("a*b*c", "aXbXbXc", true),
            ("a*b*c", "aXbXbX", false),
            ("[a-c]at", "Bat", true),
            ("[A-C]at", "bat", true),
            ("[a-c]at", "rat", false),
            ("[!a-c]at", "rat", true),
            ("[!a-c]at", "BAT", false),
            ("[*]", "*", true),
            ("[*]", "x", false),
            ("[]]", "]", true),
            ("[!]]", "]", false),
            ("[a-]", "-", true),
            ("ÉTÉ*", "été 1.png", true),
            ("e\u{301}*", "Été.png", true),
            ("ΟΔΟΣ", "οδος", true),
            ("写?.png", "写真.PNG", true),
        ] {
            assert_eq!(fits(pattern, name), expected, "`{pattern}` over `{name}`");
        }
    }

    #[test]
    fn a_pattern_that_makes_no_sense_is_refused() {
        for pattern in ["[", "[a", "[]", "[!", "[a-", "[z-a]", "x[!]"] {
            let refusal = NameGlob::parse(pattern).unwrap_err();
            assert_eq!(refusal.code, ErrorCode::BadRequest, "{pattern}: {refusal}");
        }
        assert!(NameGlob::parse(&"*".repeat(MAX_PATTERN_BYTES)).is_ok());
        assert!(NameGlob::parse(&"*".repeat(MAX_PATTERN_BYTES + 1)).is_err());
        assert!(NameText::parse(&"x".repeat(MAX_PATTERN_BYTES + 1)).is_err());
    }

    #[test]
    fn stars_that_never_meet_do_not_blow_up() {
        let pattern = "*a".repeat(MAX_PATTERN_BYTES / 2);
        assert!(!fits(&pattern, &"a".repeat(254)));
        assert!(!fits(&format!("{}b", "*a".repeat(100)), &"a".repeat(255)));
    }

    /// The same question answered by plain recursion.
    fn slowly(pieces: &[Piece], name: &[char]) -> bool {
        match (pieces.split_first(), name.split_first()) {
            (None, None) => true,
            (None, Some(_)) => false,
            (Some((Piece::Many, rest)), None) => slowly(rest, name),
            (Some((Piece::Many, rest)), Some((_, behind))) => {
                slowly(rest, name) || slowly(pieces, behind)
            }
            (Some(_), None) => false,
            (Some((piece, rest)), Some((c, behind))) => piece.fits(*c) && slowly(rest, behind),
        }
    }

    proptest! {
        #[test]
        fn it_agrees_with_plain_recursion(pattern in "[aAb*?]{0,8}", name in "[abAB]{0,10}") {
            let glob = NameGlob::parse(&pattern).unwrap();
            let chars: Vec<char> = name.chars().collect();
            prop_assert_eq!(glob.fits(&name), slowly(&glob.pieces, &chars));
            if glob.fits(&name) {
                for literal in glob.literals() {
                    prop_assert!(fold(&name).contains(&literal));
                }
            }
        }

        #[test]
        fn any_pattern_is_read_or_refused(pattern in any::<String>(), name in any::<String>()) {
            if let Ok(glob) = NameGlob::parse(&pattern) {
                let _ = glob.fits(&name);
            }
        }

        #[test]
        fn folding_twice_changes_nothing(c in any::<char>()) {
            prop_assert_eq!(fold_char(fold_char(c)), fold_char(c));
        }
    }
}
