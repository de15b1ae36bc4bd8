//! What a service starts: which program, with which arguments and variables; and whether that
//! program will still be there tomorrow. Pure but for looking at files.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use imgrepo_proto::name::shown;
use imgrepo_proto::{ErrorCode, Refusal};

use super::Problem;
use crate::paths::Login;

/// What is started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Start {
    /// The program, by an absolute path.
    pub program: PathBuf,
    /// What it is told.
    pub arguments: Vec<OsString>,
    /// The variables that it is given beside the login's own.
    pub environment: Vec<(String, OsString)>,
}

impl Start {
    /// What a person types into a shell to start the same.
    #[must_use]
    pub fn command(&self) -> String {
        let variables = self.environment.iter().map(|(name, value)| {
            let mut word = OsString::from(format!("{name}="));
            word.push(quoted(value));
            word.display().to_string()
        });
        let words = std::iter::once(self.program.as_os_str())
            .chain(self.arguments.iter().map(OsString::as_os_str))
            .map(quoted);
        variables.chain(words).collect::<Vec<_>>().join(" ")
    }

    /// Whose files it works on.
    pub(super) fn home(&self) -> Option<&Path> {
        let home = self.environment.iter().find(|(name, _)| name == "IMGREPO_HOME");
        home.map(|(_, value)| Path::new(value))
    }
}

/// A word of a shell.
fn quoted(word: &OsStr) -> String {
    let text = word.display().to_string();
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+=:,@%".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        return text;
    }
    format!("'{}'", shown(&text).replace('\'', r"'\''"))
}

/// The path by which this program is to be started: as it was called, or as it is found by its
/// name, where that leads to `running` (a link that an upgrade turns to the next version outlives
/// what it leads to today), else `running` itself.
///
/// # Errors
/// `file_error` where the running program's file is gone.
pub fn program(running: &Path, called: Option<&OsStr>, login: &Login) -> Result<PathBuf, Refusal> {
    let same = |path: &Path| path.canonicalize().is_ok_and(|path| path == running);
    if !running.is_file() {
        return Err(Refusal::new(
            ErrorCode::FileError,
            format!("the program that runs here is gone: `{}`", running.display()),
        )
        .hint("install it again, and run this with that"));
    }
    let called = called.map(Path::new);
    let by_path = called.filter(|called| called.components().count() > 1);
    let by_path = by_path.and_then(|called| std::path::absolute(called).ok());
    let name = called.and_then(Path::file_name).unwrap_or_else(|| OsStr::new("imgrepod"));
    let search = login.search.as_deref().unwrap_or_default();
    let found = std::env::split_paths(search).map(|directory| directory.join(name));
    let found = found.filter(|path| path.is_absolute());
    // By the search path first: what is called as `./imgrepod` may be there by its own name too.
    let found = found.chain(by_path).find(|path| same(path));
    Ok(found.unwrap_or_else(|| running.to_owned()))
}

/// Why this program may not be there tomorrow.
pub(super) fn fleeting(program: &Path, login: &Login) -> Option<Problem> {
    let shown = program.display();
    if !program.is_file() {
        return Some(Problem::new(
            format!("the program that is started is not there: `{shown}`"),
            "install it again, then `imgrepod service install` with it",
        ));
    }
    let real = program.canonicalize().unwrap_or_else(|_| program.to_owned());
    let places = [program, &real];
    let is_below = |place: &PathBuf| places.iter().any(|path| path.starts_with(place));
    let why = if login.temporary.iter().any(is_below) {
        "is in a temporary directory"
    } else if real.ancestors().skip(1).any(is_build) {
        "is where it was built, and changes with the next build"
    } else {
        return None;
    };
    Some(Problem::new(
        format!("the program that is started `{shown}` {why}"),
        "copy it to where it stays, such as ~/.local/bin, and run `imgrepod service install` there",
    ))
}

/// Whether cargo builds here.
fn is_build(directory: &Path) -> bool {
    directory.join(".rustc_info.json").is_file()
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn file(path: &Path) -> PathBuf {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, "").unwrap();
        path.canonicalize().unwrap()
    }

    #[test]
    fn a_command_is_what_a_shell_reads_as_it_is_meant() {
        let start = Start {
            program: "/opt/my images/imgrepod".into(),
            arguments: vec!["--serve".into(), "--user=it's".into(), "".into(), "$HOME".into()],
            environment: vec![("IMGREPO_HOME".to_owned(), "/h m".into())],
        };
        assert_eq!(
            start.command(),
            r"IMGREPO_HOME='/h m' '/opt/my images/imgrepod' --serve '--user=it'\''s' '' '$HOME'"
        );
        assert_eq!(start.home(), Some(Path::new("/h m")));
    }

    #[test]
    fn the_name_that_outlives_an_upgrade_is_taken() {
        let directory = tempfile::tempdir().unwrap();
        let at = |path: &str| directory.path().join(path);
        let running = file(&at("opt/0.1/imgrepod"));
        let login = |search: &str| Login { search: Some(at(search).into()), ..Login::default() };
        let other = file(&at("other/imgrepod"));
        let by = |called: &str, login: &Login| program(&running, Some(called.as_ref()), login);
        assert_eq!(by("imgrepod", &login("other")).unwrap(), running);
        std::fs::create_dir(at("bin")).unwrap();
        symlink(&running, at("bin/imgrepod")).unwrap();
        assert_eq!(by("imgrepod", &login("bin")).unwrap(), at("bin/imgrepod"));
        let called = at("bin/imgrepod").display().to_string();
        assert_eq!(by(&called, &login("other")).unwrap(), at("bin/imgrepod"));
        assert_eq!(program(&running, None, &login("bin")).unwrap(), at("bin/imgrepod"));
        std::fs::remove_file(&running).unwrap();
        let deleted = PathBuf::from(format!("{} (deleted)", running.display()));
        assert_eq!(program(&deleted, None, &login("bin")).unwrap_err().code, ErrorCode::FileError);
        assert!(other.is_file());
    }

    #[test]
    fn a_program_that_may_soon_be_gone_is_told() {
        let directory = tempfile::tempdir().unwrap();
        let at = |path: &str| directory.path().join(path);
        let built = file(&at("target/debug/imgrepod"));
        let login = Login::default();
        assert_eq!(fleeting(&built, &login), None);
        file(&at("target/.rustc_info.json"));
        assert!(fleeting(&built, &login).unwrap().message.contains("where it was built"));
        let installed = file(&at("bin/imgrepod"));
        let temporary = Login { temporary: vec![at("bin")], ..Login::default() };
        assert_eq!(fleeting(&installed, &login), None);
        assert!(fleeting(&installed, &temporary).unwrap().message.contains("temporary"));
        assert!(fleeting(&at("missing"), &login).unwrap().message.contains("not there"));
    }
}
