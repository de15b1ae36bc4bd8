//! What a browser asks for, in JSON: to be let in by a link, who it is, and to be let in no more. Called
//! for requests that were admitted and came in a way that nobody else can read. Whom a link or a cookie
//! lets in is the repository's to say, each time: nothing is kept here.
//!
//! `POST /api/join` {secret, user, device}, `POST /api/login` {secret, device}, `GET /api/me`,
//! `POST /api/logout` {}. All but the last answer {user, role, can, device, seq}, as AUTH does; what is
//! refused answers {error: {code, message, hint}}.

use std::sync::Arc;

use axum::Extension;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::json;

use imgrepo_proto::session::people::{DeviceKind, Join, Revoke};
use imgrepo_proto::{ErrorCode, Refusal, Secret};

use super::call::{Failure, told};
use super::cookie;
use super::desk::Desk;
use crate::link::Origin;
use crate::repository::Actor;

/// Room for a request's body: the longest secret, name and label take less.
const BODY_BYTES: usize = 4 * 1024;

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
    State(desk): State<Arc<Desk>>,
    Extension(origin): Extension<Origin>,
    request: Request,
) -> Answer {
    let Joining { secret, user, device } = asked(&desk, request).await?;
    let join = Join { secret: taken(&secret)?, user: Some(user), device, client: None };
    let_in(&desk, &join, origin).await
}

/// This browser as one more device of the account that the link is for.
pub(super) async fn login(
    State(desk): State<Arc<Desk>>,
    Extension(origin): Extension<Origin>,
    request: Request,
) -> Answer {
    let LoggingIn { secret, device } = asked(&desk, request).await?;
    let join = Join { secret: taken(&secret)?, user: None, device, client: None };
    let_in(&desk, &join, origin).await
}

/// Who the cookie says that this is, or as whom a guest is let in. Who comes back keeps the cookie for
/// as long again.
pub(super) async fn me(desk: &Desk, headers: &HeaderMap, origin: Origin) -> Answer {
    match cookie::read(headers) {
        Some(credential) => answer(desk, &credential, origin).await,
        None => Ok(described(desk, &desk.actor(headers, origin).await?)),
    }
}

/// Revokes this browser's device. A cookie that lets nobody in is only forgotten.
pub(super) async fn logout(
    State(desk): State<Arc<Desk>>,
    Extension(origin): Extension<Origin>,
    request: Request,
) -> Answer {
    let credential = cookie::read(request.headers());
    let Nothing {} = asked(&desk, request).await?;
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
    Ok(with_cookie(told(&json!({})), forgotten))
}

async fn let_in(desk: &Desk, join: &Join, origin: Origin) -> Answer {
    let joined = desk.context.join(join, DeviceKind::Browser, origin).await?;
    answer(desk, &joined.credential, origin).await
}

/// As whom this credential lets in, and that the browser keep it.
async fn answer(desk: &Desk, credential: &Secret, origin: Origin) -> Answer {
    let known = desk.context.authenticate(None, credential, origin).await?;
    let kept = cookie::kept(credential).ok_or_else(unwritten)?;
    Ok(with_cookie(described(desk, &known), kept))
}

/// Somebody, in the words of AUTH's reply.
fn described(desk: &Desk, actor: &Actor) -> Response {
    let Actor { name, role, device, .. } = actor;
    let newest = *desk.repository().announced().borrow();
    told(&json!({
        "user": name.as_str(),
        "role": role.word(),
        "can": role.can(),
        "device": device,
        "seq": newest,
    }))
}

fn with_cookie(response: Response, cookie: HeaderValue) -> Response {
    ([(header::SET_COOKIE, cookie)], response).into_response()
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
async fn asked<T: DeserializeOwned>(desk: &Desk, request: Request) -> Result<T, Failure> {
    let bad =
        |status, text: &str| Failure::with(status, &Refusal::new(ErrorCode::BadRequest, text));
    let mut types = request.headers().get_all(header::CONTENT_TYPE).iter();
    let is_json = match (types.next(), types.next()) {
        (Some(only), None) => only.to_str().is_ok_and(is_json),
        _ => false,
    };
    if !is_json {
        let text = "cannot read the request: it has to be of the type `application/json`";
        return Err(bad(StatusCode::UNSUPPORTED_MEDIA_TYPE, text));
    }
    let body = desk.small_body(request.into_body(), BODY_BYTES).await?;
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

fn unwritten() -> Refusal {
    Refusal::new(ErrorCode::Internal, "cannot write the cookie")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What these four requests can be refused with.
    #[test]
    fn the_page_has_words_of_its_own_for_every_refusal() {
        let page = include_str!("pages/door.js");
        for code in [
            ErrorCode::BadRequest,
            ErrorCode::BadName,
            ErrorCode::Unauthenticated,
            ErrorCode::Denied,
            ErrorCode::NotFound,
            ErrorCode::Conflict,
            ErrorCode::Busy,
            ErrorCode::StorageFull,
            ErrorCode::ShuttingDown,
            ErrorCode::Internal,
        ] {
            let word = json!(code);
            let word = word.as_str().unwrap();
            let own = |key: &str| page.contains(&format!("\"refused.{key}\":"));
            let both = ["join", "login"].map(|does| own(&format!("{does}.{word}")));
            assert!(own(word) || both == [true; 2], "{word}");
        }
    }
}
