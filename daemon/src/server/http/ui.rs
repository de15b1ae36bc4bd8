//! The page that shows the images in a browser: the same files as the window's, which are in the program.
//! They know nobody; what they show they ask of the API.

use std::collections::HashMap;
use std::sync::LazyLock;

use axum::extract::Path;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use imgrepo_proto::api;

use super::Denied;

#[path = "../../../../viewer/ui/files.rs"]
mod files;

pub(super) use files::POLICY;

/// The files by their names, each with its tag. Another program may have others: a browser keeps them, and
/// asks each time whether they are still the same.
static FILES: LazyLock<HashMap<&'static str, (&'static files::File, String)>> =
    LazyLock::new(|| {
        let tagged = |file: &'static files::File| {
            let hash = blake3::hash(file.bytes).to_hex();
            (file.name, (file, format!("\"{}\"", &hash[..32])))
        };
        files::FILES.iter().map(tagged).collect()
    });

/// Whether who asks for the root wants to see something: programs do not.
pub(super) fn is_wanted(headers: &HeaderMap) -> bool {
    let lines = headers.get_all(header::ACCEPT).into_iter().filter_map(|line| line.to_str().ok());
    let mut types = lines.flat_map(|line| line.split(','));
    types.any(|it| it.split(';').next().is_some_and(|it| it.trim() == "text/html"))
}

/// The page itself.
pub(super) fn page(headers: &HeaderMap) -> Response {
    // The root is more than the page.
    ([(header::VARY, "Accept")], named("index.html", headers)).into_response()
}

/// A file of the page.
pub(super) async fn file(Path(name): Path<String>, headers: HeaderMap) -> Response {
    named(&name, &headers)
}

fn named(name: &str, headers: &HeaderMap) -> Response {
    let Some((file, tag)) = FILES.get(name) else {
        let text = "there is no such file of the page";
        return Denied::new(StatusCode::NOT_FOUND, text).into_response();
    };
    let kept = [(header::ETAG, tag.as_str()), (header::CACHE_CONTROL, "no-cache")];
    let had = headers.get(header::IF_NONE_MATCH).and_then(|line| line.to_str().ok());
    if had.is_some_and(|line| api::is_among(line, tag)) {
        return (StatusCode::NOT_MODIFIED, kept).into_response();
    }
    (kept, [(header::CONTENT_TYPE, file.media_type)], file.bytes).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_of_the_page_is_here() {
        fn below(folder: &std::path::Path, prefix: &str, found: &mut Vec<String>) {
            for entry in std::fs::read_dir(folder).unwrap() {
                let entry = entry.unwrap();
                let name = format!("{prefix}{}", entry.file_name().to_str().unwrap());
                match entry.file_type().unwrap().is_dir() {
                    // What checks the page is no part of it.
                    true if matches!(name.as_str(), "tests" | "node_modules") => {}
                    true => below(&entry.path(), &format!("{name}/"), found),
                    false => found.push(name),
                }
            }
        }
        let mut found = Vec::new();
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../viewer/ui");
        below(&folder, "", &mut found);
        let parts = [".html", ".css", ".js", ".svg", ".png", ".woff2"];
        found.retain(|name| parts.iter().any(|end| name.ends_with(end)));
        assert!(FILES.contains_key("index.html"));
        for name in found {
            assert!(FILES.contains_key(name.as_str()), "`{name}` is missing in viewer/ui/files.rs");
        }
    }

    #[test]
    fn programs_want_no_page() {
        let wanted = |accept: &'static str| {
            is_wanted(&HeaderMap::from_iter([(header::ACCEPT, accept.parse().unwrap())]))
        };
        assert!(wanted("text/html,application/xhtml+xml,*/*;q=0.8"));
        assert!(wanted("application/json, text/html;q=0.9"));
        assert!(!wanted("*/*") && !wanted("") && !wanted("text/htmlx"));
        assert!(!is_wanted(&HeaderMap::new()));
    }
}
