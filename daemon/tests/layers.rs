//! The layers of the daemon: a room names only rooms below it. This reads every source, with
//! grouped imports, `super::` and paths in the middle of code, and fails on one that climbs and on
//! a room that the table lacks.

#![allow(clippy::unwrap_used)] // A test fails so.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Every room with its layer. Rooms of one layer do not know each other.
const ROOMS: &[(&str, u32)] = &[
    ("config", 0),
    ("paths", 0),
    ("cache", 0),
    ("database", 0),
    ("metrics", 0),
    ("host", 0),
    ("private", 0),
    ("tls", 1),
    ("service", 1),
    ("repository", 1),
    ("link", 1),
    ("server", 2),
    ("session", 3),
    ("state", 4),
    ("transfer", 5),
    ("watch", 6),
    ("control", 7),
    ("daemon", 8),
    ("main", 9),
    ("lib", 10),
];

fn layer(room: &str) -> Option<u32> {
    ROOMS.iter().find(|(name, _)| *name == room).map(|(_, layer)| *layer)
}

#[test]
fn every_room_names_only_rooms_below_it() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut faults = Vec::new();
    let mut rooms = BTreeSet::new();
    for path in sources_below(&src) {
        let module = module_of(path.strip_prefix(&src).unwrap());
        let text = fs::read_to_string(&path).unwrap();
        let file = path.display();
        faults.extend(faults_in(&module, &text).iter().map(|fault| format!("{file}: {fault}")));
        rooms.insert(module[0].clone());
    }
    assert!(rooms.contains("main") && rooms.contains("link"), "the sources were not found");
    for room in rooms.iter().filter(|room| layer(room).is_none()) {
        faults.push(format!("the room `{room}` is missing from the table of this test"));
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

fn sources_below(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(sources_below(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found
}

/// `server/v2/mod.rs` is `[server, v2]`.
fn module_of(path: &Path) -> Vec<String> {
    let mut module: Vec<String> =
        path.with_extension("").iter().map(|part| part.to_string_lossy().into_owned()).collect();
    if module.len() > 1 && module.last().is_some_and(|last| last == "mod") {
        module.pop();
    }
    module
}

/// What a source of this module names that it must not.
fn faults_in(module: &[String], text: &str) -> Vec<String> {
    let room = module[0].as_str();
    let Some(own) = layer(room) else { return Vec::new() };
    let mut faults = Vec::new();
    for path in paths_in(module, text) {
        let whole = path.join("::");
        match path.first().map(|named| (named == room, layer(named))) {
            None | Some((true, _)) => {}
            Some((_, Some(other))) if other < own => {}
            Some((_, Some(_))) => faults.push(format!("`{room}` must not name `{whole}`")),
            Some((_, None)) => faults.push(format!("`{whole}` is in no room of this test's table")),
        }
    }
    faults
}

/// Every path of the crate in this source, from the crate's root.
fn paths_in(module: &[String], text: &str) -> Vec<Vec<String>> {
    let tokens = tokens(text);
    let token = |at: usize| tokens.get(at).map(String::as_str);
    // The crate's roots are modules without a name; what is below `main/` is the program's own.
    let root = matches!(module, [only] if only == "main" || only == "lib");
    let mut here: Vec<String> = if root { Vec::new() } else { module.to_vec() };
    let mut inline = Vec::new();
    let mut depth = 0u32;
    let mut paths = Vec::new();
    let mut at = 0;
    while let Some(now) = token(at) {
        match now {
            "{" => depth += 1,
            "}" => {
                if inline.last() == Some(&depth) {
                    inline.pop();
                    here.pop();
                }
                depth = depth.saturating_sub(1);
            }
            "mod" if token(at + 2) == Some("{") => {
                here.extend(token(at + 1).map(str::to_owned));
                inline.push(depth + 1);
                at += 1;
            }
            // Without `::` behind it, it is a visibility.
            "crate" | "super" | "imgrepod" if token(at + 1) == Some("::") => {
                at = tree(&tokens, at, &here, &mut paths);
                continue;
            }
            _ => {}
        }
        at += 1;
    }
    paths
}

/// Reads one path, or a group of them, that begins at this token; gives the token after it.
fn tree(tokens: &[String], mut at: usize, from: &[String], paths: &mut Vec<Vec<String>>) -> usize {
    let mut path = from.to_vec();
    loop {
        match tokens.get(at).map(String::as_str) {
            Some("crate" | "imgrepod") => path.clear(),
            Some("super") => drop(path.pop()),
            Some("self" | "*") => {}
            Some("{") => {
                at += 1;
                while tokens.get(at).is_some_and(|token| token != "}") {
                    at = tree(tokens, at, &path, paths);
                    // What may stand before the next of the group: `,`, or `as name,`.
                    while tokens.get(at).is_some_and(|token| token != "," && token != "}") {
                        at += 1;
                    }
                    at += usize::from(tokens.get(at).is_some_and(|token| token == ","));
                }
                return at + 1;
            }
            Some(name) if name.starts_with(|c: char| c.is_alphabetic() || c == '_') => {
                path.push(name.to_owned());
            }
            _ => break,
        }
        at += 1;
        if tokens.get(at).is_none_or(|token| token != "::") {
            break;
        }
        at += 1;
    }
    paths.push(path);
    at
}

/// Names, `::` and single signs; comments, texts and characters are left out.
fn tokens(text: &str) -> Vec<String> {
    let mut tokens = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let length = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            rest.find("*/").map_or(rest.len(), |end| end + 2)
        } else if let Some(length) = raw_text(rest) {
            length
        } else if first == '"' || first == '\'' && is_character(rest) {
            quoted(rest, first)
        } else if first.is_alphanumeric() || first == '_' {
            let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
            tokens.push(rest[..end].to_owned());
            end
        } else if rest.starts_with("::") {
            tokens.push("::".to_owned());
            2
        } else {
            if !first.is_whitespace() {
                tokens.push(first.to_string());
            }
            first.len_utf8()
        };
        rest = &rest[length..];
    }
    tokens
}

/// The length of a raw text (`r#"..."#`) that begins here.
fn raw_text(rest: &str) -> Option<usize> {
    let after = rest.strip_prefix("br").or_else(|| rest.strip_prefix('r'))?;
    let hashes = after.len() - after.trim_start_matches('#').len();
    after[hashes..].strip_prefix('"')?;
    let end = format!("\"{}", "#".repeat(hashes));
    let begin = rest.len() - after.len() + hashes + 1;
    Some(rest[begin..].find(&end).map_or(rest.len(), |at| begin + at + end.len()))
}

fn quoted(rest: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in rest.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            c if c == quote => return at + 1,
            _ => {}
        }
    }
    rest.len()
}

/// A character, not a lifetime.
fn is_character(rest: &str) -> bool {
    let mut chars = rest.chars().skip(1);
    match chars.next() {
        Some('\\') => true,
        Some(_) => chars.next() == Some('\''),
        None => false,
    }
}

/// The faults of a sample at this place below `src`.
fn sample(path: &str, text: &str) -> usize {
    faults_in(&module_of(Path::new(path)), text).len()
}

#[test]
fn an_import_that_climbs_is_seen_however_it_is_written() {
    for climbing in [
        "use crate::control::Listener;",
        "use crate::{link::Outbox, control::{self, Listener}};",
        "use crate::{\n    link,\n    control as steering,\n};",
        "pub(crate) use super::super::control;",
        "use super::super::{link, transfer::upload};",
        "fn f() { let x = crate::daemon::run(); }",
        "fn f() { g(crate::daemon::run()); }",
        "fn f(x: &crate::session::Session<'static>) {}",
        "mod tests { use super::super::super::session::Session; }",
        "mod a { fn f() {} } mod b {} use super::super::session::Session;",
        "fn f() -> char { let _ = '\"'; crate::daemon::x('\\'') }",
        "use crate::watch::Watcher;",
        "use crate::Thing;",
        "use crate::link;use crate::session;",
    ] {
        assert!(sample("server/v2/mod.rs", climbing) > 0, "{climbing}");
    }
    assert_eq!(sample("link/mod.rs", "use crate::repository::Repository;"), 1, "the same layer");
    assert_eq!(sample("repository/mod.rs", "use super::link::x; use super::server;"), 2);
    assert_eq!(sample("config.rs", "use crate::{paths::Paths, config::Flags};"), 1);
    assert_eq!(sample("main.rs", "use imgrepod::lib::x;"), 1);
}

#[test]
fn what_stays_below_is_no_fault() {
    for fine in [
        "use crate::link::{Inbox, Outbox}; use crate::repository::Repository;",
        "use super::{session, v1::Gate}; use super::super::config;",
        "use self::session::Upload; use session::Other;",
        "mod tests { use super::*; mod inner { use super::super::super::http; } } use super::http;",
        "// crate::control::x\n/* crate::control::x */ const A: &str = \"crate::control::x\";",
        "const A: &str = r#\"crate::control::x \" \"#; const B: &[u8] = br\"crate::control::x\";",
        "use imgrepo_proto::control::Reply; use std::sync::Arc;",
        "pub(crate) fn f() {} pub(super) fn g() {} pub(in crate::server) fn h() {}",
    ] {
        assert_eq!(sample("server/v2/mod.rs", fine), 0, "{fine}");
    }
    assert_eq!(sample("main.rs", "use imgrepod::{config, daemon::{self, Daemon}};"), 0);
    assert_eq!(sample("main/service.rs", "use super::Told; use imgrepod::service::Service;"), 0);
    assert_eq!(sample("lib.rs", "pub mod config; pub use crate::daemon::Daemon;"), 0);
}
