//! `imgctl watch add|rm|ls|pause|resume|rescan|status`: folders whose files are uploaded by
//! themselves.

mod story;

use std::fs;
use std::path::{Path, PathBuf};

use imgrepo_proto::control::watch::{After, FolderStatus, WatchRequest};
use imgrepo_proto::control::{Outcome, Request};
use serde::Serialize;

use crate::cli;
use crate::context::{Context, unexpected};
use crate::failure::{Failure, file_error};
use crate::{folders, table};

/// `{"v":1,"folders":[...]}`.
#[derive(Serialize)]
struct Document<'a> {
    folders: Vec<folders::Document<'a>>,
}

/// `{"v":1,"removed":"/home/ana/Pictures"}`.
#[derive(Serialize)]
struct Removed {
    removed: String,
}

/// Carries out one of them.
pub(crate) fn run(context: &Context, args: cli::Watch) -> Result<(), Failure> {
    match args {
        cli::Watch::Add(args) => add(context, &args),
        cli::Watch::Rm { dir } => rm(context, &dir),
        cli::Watch::Ls => ls(context),
        cli::Watch::Pause { dir } => {
            let request = WatchRequest::Pause { path: real_of("pause", dir.as_deref())? };
            several(context, "pause the watched folders", request, "paused")
        }
        cli::Watch::Resume { dir } => {
            let request = WatchRequest::Resume { path: real_of("resume", dir.as_deref())? };
            several(context, "resume the watched folders", request, "resumed")
        }
        cli::Watch::Rescan { dir } => {
            let request = WatchRequest::Rescan { path: real_of("rescan", dir.as_deref())? };
            several(context, "look at the watched folders", request, "looked at")
        }
        cli::Watch::Status { file } => story::run(context, &file),
    }
}

fn add(context: &Context, args: &cli::WatchAdd) -> Result<(), Failure> {
    let act = format!("watch `{}`", args.dir.display());
    let after = match (args.after, &args.to) {
        (cli::After::Keep, None) => After::Keep,
        (cli::After::Trash, None) => After::Trash,
        (cli::After::Move, Some(to)) => After::Move(real(&act, to)?),
        // clap asks for `--to` where it is due.
        _ => return Err(Failure::usage("`--to DIR` goes with `--after move`")),
    };
    let request = WatchRequest::Add { path: real(&act, &args.dir)?, after };
    several(context, &act, request, "watched")
}

fn rm(context: &Context, dir: &Path) -> Result<(), Failure> {
    let act = format!("watch `{}` no longer", dir.display());
    let path = real(&act, dir)?;
    context.ask(&act, &Request::Watch(WatchRequest::Rm { path: path.clone() }))?;
    if context.out.json() {
        return context.out.document(&Removed { removed: table::lossy(&path) });
    }
    context.out.confirm(&format!("{:<9}  {}", "removed", table::path(&path)));
    Ok(())
}

fn ls(context: &Context) -> Result<(), Failure> {
    let out = &context.out;
    let folders = ask(context, "list the watched folders", WatchRequest::Ls)?;
    if out.json() {
        return show(context, &folders);
    }
    if !out.terminal() {
        // For scripts, as `list`: a name a line.
        return folders.iter().try_for_each(|folder| out.line(&table::path(&folder.path)));
    }
    if folders.is_empty() {
        out.note("no folder is watched: imgctl watch add DIR");
        return Ok(());
    }
    folders::table(out, &folders).iter().try_for_each(|line| out.line(line))
}

/// Asks for what is answered by the folders that it is about.
fn several(context: &Context, act: &str, request: WatchRequest, past: &str) -> Result<(), Failure> {
    let folders = ask(context, act, request)?;
    if context.out.json() {
        return show(context, &folders);
    }
    for folder in &folders {
        context.out.confirm(&format!("{past:<9}  {}", table::path(&folder.path)));
        let notes = folder.why.iter().cloned();
        let hints = folder.hint.iter().map(|hint| format!("hint: {hint}"));
        for note in notes.chain(hints) {
            context.out.note(&imgrepo_proto::name::shown(&note));
        }
    }
    if folders.is_empty() {
        context.out.note("no folder is watched: imgctl watch add DIR");
    }
    Ok(())
}

fn ask(context: &Context, act: &str, request: WatchRequest) -> Result<Vec<FolderStatus>, Failure> {
    match context.ask(act, &Request::Watch(request))? {
        Outcome::Folders(folders) => Ok(folders),
        other => Err(Failure::new(act, unexpected(&other))),
    }
}

fn show(context: &Context, folders: &[FolderStatus]) -> Result<(), Failure> {
    let folders = folders.iter().map(folders::Document::from).collect();
    context.out.document(&Document { folders })
}

fn real_of(verb: &str, dir: Option<&Path>) -> Result<Option<PathBuf>, Failure> {
    let act = |dir: &Path| format!("{verb} `{}`", dir.display());
    dir.map(|dir| real(&act(dir), dir)).transpose()
}

/// The one path that a folder has, whatever links it was named by; one that is not there now may
/// have been watched before.
fn real(act: &str, path: &Path) -> Result<PathBuf, Failure> {
    let real = fs::canonicalize(path).or_else(|_| std::path::absolute(path));
    real.map_err(|error| Failure::new(act, file_error("find", path, &error)))
}

/// The one path that a file has: of a link, the link's own.
fn real_file(act: &str, path: &Path) -> Result<PathBuf, Failure> {
    match (path.parent(), path.file_name()) {
        (Some(folder), Some(name)) => {
            let folder = if folder == Path::new("") { Path::new(".") } else { folder };
            Ok(real(act, folder)?.join(name))
        }
        _ => real(act, path),
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn a_folder_has_one_path_and_a_link_is_a_file_of_its_own() {
        let root = tempfile::tempdir().unwrap();
        let root = fs::canonicalize(root.path()).unwrap();
        fs::create_dir(root.join("a")).unwrap();
        std::os::unix::fs::symlink(root.join("a"), root.join("b")).unwrap();
        std::os::unix::fs::symlink("x", root.join("a/link.jpg")).unwrap();
        assert_eq!(real("", &root.join("b")).unwrap(), root.join("a"));
        assert_eq!(real("", &root.join("gone/x")).unwrap(), root.join("gone/x"));
        let link = real_file("", &root.join("b/link.jpg")).unwrap();
        assert_eq!(link, root.join("a/link.jpg"));
    }
}
