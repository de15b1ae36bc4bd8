//! The paths in a line that a person typed, or that a terminal wrote when files were dropped on it:
//! quoted and escaped as for a shell.

use std::path::Path;

/// The paths. A line that is one path as it stands is that one, whatever spaces it has.
pub(super) fn paths(line: &str) -> Vec<String> {
    let line = line.trim();
    match Path::new(line).exists() {
        true => vec![line.to_owned()],
        false => words(line).into_iter().map(|word| at_home(&word)).collect(),
    }
}

fn at_home(word: &str) -> String {
    let rest = word.strip_prefix("~/");
    match (rest, std::env::home_dir()) {
        (Some(rest), Some(home)) => home.join(rest).to_string_lossy().into_owned(),
        _ => word.to_owned(),
    }
}

/// Words as a shell parts them; what is not closed goes to the end.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        match (c, quote) {
            (c, Some(open)) if c == open => quote = None,
            ('\\', None | Some('"')) => word.get_or_insert_default().extend(chars.next()),
            ('"' | '\'', None) => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (c, None) if c.is_whitespace() => words.extend(word.take()),
            (c, _) => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_parted_as_a_shell_does_it() {
        assert_eq!(words(r"a.jpg  b\ c.jpg 'd e' "), ["a.jpg", "b c.jpg", "d e"]);
        assert_eq!(words(r#""it's" 'a "b"' x'y z'"#), ["it's", r#"a "b""#, "xy z"]);
        assert_eq!(words(r#""a \" b" 'c\d'"#), [r#"a " b"#, r"c\d"]);
        assert_eq!(words("'open end"), ["open end"]);
        assert_eq!(words("''"), [""]);
        assert_eq!(words("   "), [""; 0]);
    }

    #[test]
    fn a_line_that_is_a_path_is_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a b.jpg");
        std::fs::write(&path, "").unwrap();
        let line = path.to_str().unwrap();
        assert_eq!(paths(&format!(" {line}\n")), [line]);
        assert_eq!(paths("gone a.jpg"), ["gone", "a.jpg"]);
    }
}
