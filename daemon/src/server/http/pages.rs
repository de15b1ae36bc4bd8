//! The pages that take up a link in a browser: fixed texts, the same for everybody. What they know of
//! anybody they ask of `api`.

use axum::http::header;
use axum::response::IntoResponse;

use super::ui::POLICY;

/// A file of a page.
#[derive(Debug, Clone, Copy)]
pub(super) struct Page {
    pub(super) path: &'static str,
    media_type: &'static str,
    text: &'static str,
}

/// All of them.
pub(super) const PAGES: [Page; 4] = [
    Page {
        path: "/join",
        media_type: "text/html; charset=utf-8",
        text: include_str!("pages/door.html"),
    },
    Page {
        path: "/login",
        media_type: "text/html; charset=utf-8",
        text: include_str!("pages/door.html"),
    },
    Page {
        path: "/door.css",
        media_type: "text/css; charset=utf-8",
        text: include_str!("pages/door.css"),
    },
    Page {
        path: "/door.js",
        media_type: "text/javascript; charset=utf-8",
        text: include_str!("pages/door.js"),
    },
];

/// What a browser may do with what comes from here: run our own files, ask our own server, show nothing
/// of others and be shown in nobody's page. On every answer, errors too: whatever is in it, it is no
/// page of somebody else's. There is no Strict-Transport-Security: with a certificate of the server's own
/// it would lock people out of everything else at this host.
pub(super) const HEADERS: [(header::HeaderName, &str); 6] = [
    (header::CONTENT_SECURITY_POLICY, POLICY),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::CACHE_CONTROL, "no-store"),
    (header::HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (header::HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
];

impl IntoResponse for Page {
    fn into_response(self) -> axum::response::Response {
        ([(header::CONTENT_TYPE, self.media_type)], self.text).into_response()
    }
}
