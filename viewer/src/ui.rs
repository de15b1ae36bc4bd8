//! The page's files, which are in the program. Pure; called by `door`.

use imgrepo_proto::api::{Answer, Head};
use imgrepo_proto::{ErrorCode, Refusal};

use crate::fetch::{Fetched, whole};

#[path = "../ui/files.rs"]
mod files;

/// The file at this path; the page itself at `/`.
pub(crate) fn file(path: &str) -> Fetched {
    let name = match path {
        "/" => Some("index.html"),
        path => path.strip_prefix("/ui/"),
    };
    let file = files::FILES.iter().find(|file| Some(file.name) == name);
    let Some(file) = file else {
        let message = "there is nothing at this address";
        return whole(Answer::refused(&Refusal::new(ErrorCode::NotFound, message)));
    };
    let headers = vec![
        ("content-type", file.media_type.to_owned()),
        ("content-security-policy", files::POLICY.to_owned()),
        ("x-content-type-options", "nosniff".to_owned()),
        ("referrer-policy", "no-referrer".to_owned()),
        // They are this program's: another may have others.
        ("cache-control", "no-store".to_owned()),
    ];
    (Head { status: 200, headers }, file.bytes.to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_is_there_with_its_policy_and_nothing_else_is() {
        let (head, page) = file("/");
        assert_eq!(
            (head.status, head.header("content-type")),
            (200, Some("text/html; charset=utf-8"))
        );
        assert!(head.header("content-security-policy").unwrap().starts_with("default-src 'none'"));
        assert_eq!(file("/ui/index.html").1, page);
        for none in
            ["", "/ui/", "/index.html", "/ui/../main.rs", "/ui/files.rs", "//", "/etc/passwd"]
        {
            assert_eq!(file(none).0.status, 404, "{none}");
        }
    }

    #[test]
    fn every_file_of_the_page_is_in_the_list() {
        fn below(folder: &std::path::Path, prefix: &str, found: &mut Vec<String>) {
            for entry in std::fs::read_dir(folder).unwrap() {
                let entry = entry.unwrap();
                let name = format!("{prefix}{}", entry.file_name().to_str().unwrap());
                match entry.file_type().unwrap().is_dir() {
                    // What checks the page is no part of it.
                    true if ["tests", "node_modules"].contains(&name.as_str()) => {}
                    true => below(&entry.path(), &format!("{name}/"), found),
                    false => found.push(name),
                }
            }
        }
        let mut found = Vec::new();
        below(&std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("ui"), "", &mut found);
        found.retain(|name| {
            let ends = [".html", ".css", ".js", ".svg", ".png", ".woff2"];
            ends.iter().any(|end| name.ends_with(end)) && !name.ends_with(".test.js")
        });
        let listed: Vec<_> = files::FILES.iter().map(|file| file.name.to_owned()).collect();
        for name in found {
            assert!(listed.contains(&name), "`{name}` is missing from viewer/ui/files.rs");
        }
    }
}
