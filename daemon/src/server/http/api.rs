//! What a browser asks for, in JSON: to be let in by a link, who it is, and to be let in no more. Called
//! for requests that were admitted and came in a way that nobody else can read. Whom a link or a cookie
//! lets in is the repository's to say, each time: nothing is kept here.
//!
//! `POST /api/join` {secret, user, device}, `POST /api/login` {secret, device}, `GET /api/me`,
//! `POST /api/logout` {}. All but the last answer {user, role, can, device}; what is refused answers
//! {error: {code, message, hint}}.

use axum::Extension;
use axum::body::{self, Body};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::json;

use imgrepo_proto::session::people::{DeviceKind, Join, Revoke};
use imgrepo_proto::{ErrorCode, Refusal, Secret};

use super::{Desk, cookie};
use crate::link::Origin;
use crate::repository::Actor;

/// Room for a request's body: the longest secret, name and label take less.
const BODY_BYTES: usize = 4 * 1024;

/// Why nothing came of a request.
pub(super) struct Failure(StatusCode, Refusal);

type Answer = Result<Response, Failure>;

#[derive(Deserialize)]
struct Joining {
    // As it came: the answer to what cannot be a secret is the one to what is none.
    secret: String,
    user: String,
    device: String,
}

#[derive(Deserialize)]
struct LoggingIn {
    secret: String,
    device: String,
}

#[derive(Deserialize)]
struct Nothing {}

/// A new account, with this browser as its first device.
pub(super) async fn join(
    State(desk): State<Desk>,
    Extension(origin): Extension<Origin>,
    request: Request,
) -> Answer {
    let Joining { secret, user, device } = asked(request).await?;
    let join = Join { secret: taken(&secret)?, user: Some(user), device, client: None };
    let_in(&desk, &join, origin).await
}

/// This browser as one more device of the account that the link is for.
pub(super) async fn login(
    State(desk): State<Desk>,
    Extension(origin): Extension<Origin>,
    request: Request,
) -> Answer {
    let LoggingIn { secret, device } = asked(request).await?;
    let join = Join { secret: taken(&secret)?, user: None, device, client: None };
    let_in(&desk, &join, origin).await
}

/// Who the cookie says that this is. Who comes back keeps it for as long again.
pub(super) async fn me(
    State(desk): State<Desk>,
    Extension(origin): Extension<Origin>,
    headers: HeaderMap,
) -> Answer {
    let credential = cookie::read(&headers).ok_or_else(nobody)?;
    answer(&desk, &credential, origin).await
}

/// Revokes this browser's device. A cookie that lets nobody in is only forgotten.
pub(super) async fn logout(
    State(desk): State<Desk>,
    Extension(origin): Extension<Origin>,
    request: Request,
) -> Answer {
    let credential = cookie::read(request.headers());
    let Nothing {} = asked(request).await?;
    if let Some(credential) = credential {
        match desk.context.authenticate(None, &credential, origin).await {
            Ok(actor) => {
                if let Some(device) = actor.device {
                    desk.context.repository.revoke(&actor, &Revoke { device }).await?;
                }
            }
            Err(refusal) if refusal.code == ErrorCode::Unauthenticated => {}
            Err(refusal) => return Err(refusal.into()),
        }
    }
    let forgotten = cookie::forgotten().ok_or_else(unwritten)?;
    Ok(([(header::SET_COOKIE, forgotten)], json_body(&json!({}))).into_response())
}

async fn let_in(desk: &Desk, join: &Join, origin: Origin) -> Answer {
    let joined = desk.context.join(join, DeviceKind::Browser, origin).await?;
    answer(desk, &joined.credential, origin).await
}

/// As whom this credential lets in, and that the browser keep it.
async fn answer(desk: &Desk, credential: &Secret, origin: Origin) -> Answer {
    let known = desk.context.authenticate(None, credential, origin).await;
    let Actor { name, role, device, .. } = known?;
    let kept = cookie::kept(credential).ok_or_else(unwritten)?;
    let told = json!({
        "user": name.as_str(),
        "role": role.word(),
        "can": role.can(),
        "device": device,
    });
    Ok(([(header::SET_COOKIE, kept)], json_body(&told)).into_response())
}

/// A secret as it was said. What cannot be one is looked up all the same, as one that nobody has: the
/// answer and the work do not tell what a secret looks like.
fn taken(secret: &str) -> Result<Secret, Refusal> {
    let nobodys = || Secret::parse("-");
    let bad = |_| Refusal::new(ErrorCode::Internal, "cannot look up the link");
    Secret::parse(secret).or_else(|_| nobodys()).map_err(bad)
}

/// The arguments of a request that may change something. That it comes from our own page is made sure
/// before; its type keeps out what a form of another site could send.
async fn asked<T: DeserializeOwned>(request: Request<Body>) -> Result<T, Failure> {
    let bad = |status, text: &str| Failure(status, Refusal::new(ErrorCode::BadRequest, text));
    let mut types = request.headers().get_all(header::CONTENT_TYPE).iter();
    let is_json = match (types.next(), types.next()) {
        (Some(only), None) => only.to_str().is_ok_and(is_json),
        _ => false,
    };
    if !is_json {
        let text = "cannot read the request: it has to be of the type `application/json`";
        return Err(bad(StatusCode::UNSUPPORTED_MEDIA_TYPE, text));
    }
    let body = body::to_bytes(request.into_body(), BODY_BYTES).await.map_err(|_| {
        let text = format!("cannot read the request: it is cut, or longer than {BODY_BYTES} bytes");
        bad(StatusCode::PAYLOAD_TOO_LARGE, &text)
    })?;
    // What serde says may quote what was said.
    serde_json::from_slice(&body).map_err(|_| {
        let text = "cannot read the request: it is not the JSON that this address takes";
        bad(StatusCode::BAD_REQUEST, text)
    })
}

fn is_json(media_type: &str) -> bool {
    let essence = media_type.split(';').next().unwrap_or_default();
    essence.trim().eq_ignore_ascii_case("application/json")
}

fn json_body(value: &serde_json::Value) -> impl IntoResponse + use<> {
    ([(header::CONTENT_TYPE, "application/json")], format!("{value}\n"))
}

fn nobody() -> Refusal {
    Refusal::new(ErrorCode::Unauthenticated, "this browser is not logged in here")
        .hint("open a new link in it: ask for an invitation, or print one by `imgctl login-link`")
}

fn unwritten() -> Refusal {
    Refusal::new(ErrorCode::Internal, "cannot write the cookie")
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Failure {
        let status = match refusal.code {
            ErrorCode::BadRequest | ErrorCode::BadName => StatusCode::BAD_REQUEST,
            ErrorCode::Unauthenticated => StatusCode::UNAUTHORIZED,
            ErrorCode::Denied => StatusCode::FORBIDDEN,
            ErrorCode::NotFound => StatusCode::NOT_FOUND,
            ErrorCode::Conflict => StatusCode::CONFLICT,
            ErrorCode::Busy => StatusCode::TOO_MANY_REQUESTS,
            ErrorCode::StorageFull => StatusCode::INSUFFICIENT_STORAGE,
            ErrorCode::ShuttingDown => StatusCode::SERVICE_UNAVAILABLE,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Failure(status, refusal)
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let Failure(status, refusal) = self;
        match refusal.code {
            ErrorCode::Internal => tracing::error!(reason = %refusal.message, "a request failed"),
            // Not louder, as with what is refused before.
            _ => tracing::debug!(%refusal, "refused a browser"),
        }
        (status, json_body(&json!({"error": refusal}))).into_response()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A refusal that no other status is for comes from nothing that a browser can ask.
    #[test]
    fn the_page_has_words_of_its_own_for_every_refusal() {
        let page = include_str!("pages/door.js");
        for code in ErrorCode::ALL {
            let Failure(status, _) = Refusal::new(code, "").into();
            if status != StatusCode::INTERNAL_SERVER_ERROR || code == ErrorCode::Internal {
                let word = json!(code);
                let word = word.as_str().unwrap();
                let own = |key: &str| page.contains(&format!("\"refused.{key}\":"));
                let both = ["join", "login"].map(|does| own(&format!("{does}.{word}")));
                assert!(own(word) || both == [true; 2], "{word}");
            }
        }
    }
}
