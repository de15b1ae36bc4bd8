//! Why a request goes no further: HTTP's status, and a sentence for people.

use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

/// Why a request goes no further, in HTTP's words and in people's.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::server) struct Denied {
    pub(in crate::server) status: StatusCode,
    pub(super) text: String,
    /// What it should have been (RFC 9110, 15.5.22).
    pub(super) header: Option<(HeaderName, &'static str)>,
}

impl Denied {
    pub(in crate::server) fn new(status: StatusCode, text: impl Into<String>) -> Self {
        Denied { status, text: text.into(), header: None }
    }

    /// To those who come from elsewhere without encryption: why, and how they get in. Our programs
    /// show a refusal's first line, and have advice of their own.
    pub(in crate::server) fn plaintext() -> Self {
        let text = "this server speaks with other computers only encrypted, and with those whom it \
             knows\nask who runs it for an invitation (`imgctl invite`) and take it up: \
             imgctl join imgrepo://...\nwith a browser: https:// instead of http://";
        let header = Some((header::UPGRADE, "TLS/1.3, HTTP/1.1"));
        Denied { header, ..Denied::new(StatusCode::UPGRADE_REQUIRED, text) }
    }
}

impl IntoResponse for Denied {
    fn into_response(self) -> Response {
        let mut response = (self.status, self.text + "\n").into_response();
        if let Some((name, value)) = self.header {
            response.headers_mut().insert(name, HeaderValue::from_static(value));
        }
        response
    }
}
