//! Which files and folders are passed over by their names: the rules that are built in, and those
//! of a `.imgrepoignore` in any folder, which are written as for git.
//!
//! Pure but for its caller's reading of that file. A scan carries the rules down the tree; a single
//! file's are gathered from the watched folder down to it. What is passed over is as if it were not
//! there: never opened, never entered, never watched.

use std::ffi::OsStr;
use std::fmt;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ignore::Match;
use ignore::gitignore::{Gitignore, GitignoreBuilder};
use imgrepo_proto::name::shown;

/// The file that a person writes rules into.
pub(super) const FILE: &str = ".imgrepoignore";

/// How our own files in watched folders begin, the rules' among them. No rule brings these back.
pub(super) const OWN: &str = ".imgrepo";

/// Bytes of a file of rules: far more than anyone writes by hand.
pub(super) const MAX_BYTES: u64 = 1024 * 1024;

/// Bytes of a line that is a rule: no path is longer.
const MAX_LINE_BYTES: usize = 4096;

/// Braces (`{a,b}`) in a line. They are read by a function that calls itself for each within another:
/// some thousands would end the process.
const MAX_BRACES: usize = 32;

/// Of a line that is no rule so much is told.
const SHOWN_CHARS: usize = 80;

/// What programs leave beside the files that a person means. A person's own rules come after these
/// and may bring one back (`!*.tmp`).
const BUILT_IN: [&str; 10] = [
    ".*",
    "*~",
    "~$*",
    "*.part",
    "*.crdownload",
    "*.tmp",
    "Thumbs.db",
    "desktop.ini",
    "@eaDir",
    // The recycle bin of drives that Windows has seen.
    "$RECYCLE.BIN",
];

/// The rules for what is in one folder: its own, then those of the folders above.
#[derive(Debug)]
pub(super) struct Rules {
    own: Gitignore,
    above: Option<Arc<Rules>>,
}

/// The rule by which something is passed over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Rule {
    pattern: String,
    /// The file that has it; None for what is built in.
    file: Option<PathBuf>,
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pattern = shown(&self.pattern);
        match &self.file {
            None => write!(f, "the built-in rule `{pattern}`"),
            Some(file) => {
                write!(f, "the rule `{pattern}` of `{}`", shown(&file.to_string_lossy()))
            }
        }
    }
}

impl Rules {
    /// Those that are built in, for a watched folder.
    pub(super) fn built_in(root: &Path) -> Arc<Rules> {
        let mut builder = GitignoreBuilder::new(root);
        // Some of these are written by systems that do not tell `A` from `a`.
        let built = builder.case_insensitive(true).map(drop).and_then(|()| {
            BUILT_IN.iter().try_for_each(|line| builder.add_line(None, line).map(drop))?;
            builder.build()
        });
        // They are constants, and a test reads them.
        let own = built.unwrap_or_else(|_| Gitignore::empty());
        Arc::new(Rules { own, above: None })
    }

    /// Those for a folder below: with the text of its file of rules, where it has one. Lines that
    /// are no rules are told, and passed over.
    pub(super) fn below(self: &Arc<Self>, folder: &Path, text: &str) -> (Arc<Rules>, Vec<String>) {
        let file = folder.join(FILE);
        let mut builder = GitignoreBuilder::new(folder);
        let mut faults = Vec::new();
        for line in text.trim_start_matches('\u{feff}').lines() {
            let added = match too_much(line) {
                Some(why) => Err(why.to_owned()),
                None => builder.add_line(Some(file.clone()), line).map_err(|e| e.to_string()),
            };
            if let Err(why) = added {
                let begins: String = line.chars().take(SHOWN_CHARS).collect();
                faults.push(format!("`{}`: {why}", shown(&begins)));
            }
        }
        let (own, fault) = match builder.build() {
            Ok(own) => (own, None),
            Err(error) => (everything(folder), Some(format!("nothing is taken: {error}"))),
        };
        faults.extend(fault);
        (Arc::new(Rules { own, above: Some(self.clone()) }), faults)
    }

    /// The rules of a folder whose file of rules cannot be read: they would have kept something
    /// from being sent, so nothing is.
    pub(super) fn closed(self: &Arc<Self>, folder: &Path) -> Arc<Rules> {
        Arc::new(Rules { own: everything(folder), above: Some(self.clone()) })
    }

    /// By which rule this is passed over; what is closest to it in the tree decides.
    pub(super) fn passes_over(&self, path: &Path, is_folder: bool) -> Option<Rule> {
        let name = path.file_name().unwrap_or_default();
        if is_own(name) {
            return Some(Rule { pattern: format!("{OWN}*"), file: None });
        }
        let mut rules = Some(self);
        while let Some(here) = rules {
            match here.own.matched(path, is_folder) {
                Match::Ignore(glob) => {
                    let pattern = glob.original().to_owned();
                    return Some(Rule { pattern, file: glob.from().map(Path::to_owned) });
                }
                Match::Whitelist(_) => return None,
                Match::None => rules = here.above.as_deref(),
            }
        }
        None
    }
}

/// Why a line is not even read as a rule.
fn too_much(line: &str) -> Option<&'static str> {
    if line.len() > MAX_LINE_BYTES {
        return Some("it is too long");
    }
    (line.matches('{').count() > MAX_BRACES).then_some("it has too many braces")
}

/// The rule that passes over everything in a folder.
fn everything(folder: &Path) -> Gitignore {
    let mut builder = GitignoreBuilder::new(folder);
    let built = builder.add_line(None, "*").map(drop).and_then(|()| builder.build());
    // It is a constant, and a test reads it.
    built.unwrap_or_else(|_| Gitignore::empty())
}

/// Whether this is a file of this program's own.
pub(super) fn is_own(name: &OsStr) -> bool {
    name.as_bytes().starts_with(OWN.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules() -> Arc<Rules> {
        Rules::built_in(Path::new("/w"))
    }

    fn pattern(rules: &Rules, path: &str, is_folder: bool) -> Option<String> {
        rules.passes_over(Path::new(path), is_folder).map(|rule| rule.pattern)
    }

    #[test]
    fn what_programs_leave_is_passed_over_and_the_rule_is_told() {
        let rules = rules();
        for (name, rule) in [
            ("a.part", "*.part"),
            ("a.jpg.crdownload", "*.crdownload"),
            ("a.TMP", "*.tmp"),
            (".a.jpg", ".*"),
            (".DS_Store", ".*"),
            ("thumbs.db", "Thumbs.db"),
            ("Desktop.ini", "desktop.ini"),
            ("a.jpg~", "*~"),
            ("~$a.tif", "~$*"),
            (".imgrepo-12", ".imgrepo*"),
            (".imgrepoignore", ".imgrepo*"),
        ] {
            assert_eq!(pattern(&rules, &format!("/w/b/{name}"), false).as_deref(), Some(rule));
        }
        for folder in ["@eaDir", ".git", "$RECYCLE.BIN"] {
            assert!(pattern(&rules, &format!("/w/{folder}"), true).is_some(), "{folder}");
        }
        for name in ["a.jpg", "parts.png", "tmp", "IMG_0001.JPG", "a.part.jpg", "~a.png"] {
            assert_eq!(pattern(&rules, &format!("/w/{name}"), false), None, "{name}");
        }
        let rule = rules.passes_over(Path::new("/w/a.tmp"), false).unwrap();
        assert_eq!(rule.to_string(), "the built-in rule `*.tmp`");
    }

    #[test]
    fn a_folder_s_own_rules_come_first_and_are_git_s() {
        let text = "# drafts\n*.png\n!good.png\n/out/\nraw/**/old\n!*.tmp\n!.imgrepo-1\n";
        let (rules, faults) = rules().below(Path::new("/w/a"), text);
        assert_eq!(faults, [] as [String; 0]);
        assert_eq!(pattern(&rules, "/w/a/b.png", false).as_deref(), Some("*.png"));
        assert_eq!(pattern(&rules, "/w/a/good.png", false), None);
        assert_eq!(pattern(&rules, "/w/a/out", true).as_deref(), Some("/out/"));
        assert_eq!(pattern(&rules, "/w/a/out", false), None, "a file of that name");
        assert_eq!(pattern(&rules, "/w/a/raw/x/y/old", true).as_deref(), Some("raw/**/old"));
        assert_eq!(pattern(&rules, "/w/a/x.tmp", false), None, "brought back");
        assert!(pattern(&rules, "/w/a/.imgrepo-1", false).is_some(), "never brought back");
        assert!(pattern(&rules, "/w/a/x.part", false).is_some(), "built in all the same");
        let (deeper, _) = rules.below(Path::new("/w/a/b"), "!*.png");
        assert_eq!(pattern(&deeper, "/w/a/b/c.png", false), None, "the closest decides");
        let rule = rules.passes_over(Path::new("/w/a/b.png"), false).unwrap();
        assert_eq!(rule.to_string(), "the rule `*.png` of `/w/a/.imgrepoignore`");
    }

    #[test]
    fn a_line_that_is_no_rule_is_told_and_the_others_hold() {
        let (rules, faults) = rules().below(Path::new("/w"), "\u{feff}*.gif\n[z-a]\n*.bmp\r\n");
        assert_eq!(faults.len(), 1, "{faults:?}");
        assert!(pattern(&rules, "/w/a.gif", false).is_some());
        assert!(pattern(&rules, "/w/a.bmp", false).is_some());
        let closed = rules.closed(Path::new("/w/b"));
        assert_eq!(pattern(&closed, "/w/b/a.jpg", false).as_deref(), Some("*"));
    }

    #[test]
    fn hostile_rules_cost_the_rules_and_not_the_process() {
        let nested = |count| format!("{}a{}", "{".repeat(count), "}".repeat(count));
        let long = "*a?".repeat(MAX_LINE_BYTES);
        for line in [nested(20_000), nested(MAX_BRACES + 1), long] {
            let (rules, faults) = rules().below(Path::new("/w"), &format!("secret*\n{line}\n"));
            assert_eq!(faults.len(), 1, "{faults:?}");
            assert!(faults[0].len() < 1_000, "it is cut: {}", faults[0].len());
            assert!(pattern(&rules, "/w/secret.jpg", false).is_some());
            assert!(pattern(&rules, "/w/other.jpg", false).is_none());
        }
        let (rules, faults) = rules().below(Path::new("/w"), &format!("{}\n", nested(MAX_BRACES)));
        assert!(faults.is_empty() && pattern(&rules, "/w/a", false).is_some(), "{faults:?}");
    }

    #[test]
    fn rules_that_are_too_much_together_close_the_folder() {
        let many: String = (0..30_000).map(|number| format!("a?{number}*b*c\n")).collect();
        assert!(many.len() as u64 <= MAX_BYTES);
        let (rules, faults) = rules().below(Path::new("/w"), &format!("secret*\n{many}"));
        assert_eq!(faults.len(), 1, "{faults:?}");
        // One of them would have kept something from being sent.
        assert!(pattern(&rules, "/w/secret.jpg", false).is_some());
        assert!(pattern(&rules, "/w/other.jpg", false).is_some());
    }

    #[test]
    fn names_of_odd_bytes_are_matched() {
        let name = OsStr::from_bytes(b"/w/\xff\xfe.tmp");
        assert!(rules().passes_over(Path::new(name), false).is_some());
        let name = OsStr::from_bytes(b"/w/\xff\xfe.jpg");
        assert!(rules().passes_over(Path::new(name), false).is_none());
    }
}
