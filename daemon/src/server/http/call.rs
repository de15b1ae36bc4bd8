//! The API's calls, carried out by the repository for whoever asks: what a session's commands do, by
//! the same functions. What a request means and how it is answered is `imgrepo_proto::api`'s to say.

use std::sync::Arc;

use axum::Extension;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use imgrepo_proto::api::{self, Answer, Call, Head};
use imgrepo_proto::session::command::Target;
use imgrepo_proto::session::reply::ImageReply;
use imgrepo_proto::session::view::ExifReply;
use imgrepo_proto::{ErrorCode, Refusal};
use serde::Serialize;
use tokio::sync::oneshot;

use super::desk::Desk;
use super::{account, content, live, upload};
use crate::link::Origin;
use crate::repository::Done;

/// Why nothing came of a request: the answer to it.
pub(super) struct Failure(Answer);

impl Failure {
    /// With a status that says more than the code does.
    pub(super) fn with(status: StatusCode, refusal: &Refusal) -> Failure {
        logged(refusal);
        Failure(Answer::refused_as(status.as_u16(), refusal))
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Failure {
        logged(&refusal);
        Failure(Answer::refused(&refusal))
    }
}

impl From<Answer> for Failure {
    fn from(answer: Answer) -> Failure {
        Failure(answer)
    }
}

fn logged(refusal: &Refusal) {
    match refusal.code {
        ErrorCode::Internal => tracing::error!(reason = %refusal.message, "a request failed"),
        // Not louder: whoever reaches the port would fill the log.
        _ => tracing::debug!(%refusal, "refused a browser"),
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        answered(self.0)
    }
}

/// Carries out whatever call a request is.
pub(super) async fn carry_out(
    State(desk): State<Arc<Desk>>,
    Extension(origin): Extension<Origin>,
    request: Request,
) -> Result<Response, Failure> {
    let (parts, body) = request.into_parts();
    let headers = &parts.headers;
    let target = parts.uri.path_and_query().map_or("", |target| target.as_str());
    let lines = headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes()));
    let call = api::read(parts.method.as_str(), target, lines)?;
    let actor = desk.actor(headers, origin).await?;
    let place = desk.settle(origin);
    let repository = desk.repository();
    match call {
        Call::List(mut list) => {
            list.limit = Some(list.page_size());
            Ok(told(&repository.list(&actor, list).await?))
        }
        Call::Info(id) => {
            let image = repository.info(&actor, &Target::id(id)).await?;
            Ok(told(&ImageReply { image }))
        }
        Call::Events(events) => {
            Ok(told(&repository.events(events.since, events.page_size()).await?))
        }
        Call::Rename(id) => {
            let body = desk.small_body(body, api::RENAME_BODY_BYTES).await?;
            let rename = api::rename(id, &body)?;
            changed(|done| repository.rename(&actor, rename, done)).await
        }
        Call::Delete(id) => changed(|done| repository.delete(&actor, Target::id(id), done)).await,
        Call::Restore(id) => changed(|done| repository.restore(&actor, Target::id(id), done)).await,
        Call::Upload(upload) => Ok(told(&upload::receive(&desk, actor, upload, body).await?)),
        Call::Original(id, fetch) => Ok(content::original(&desk, actor, id, &fetch).await?),
        Call::Live(since) => {
            place?;
            Ok(live::listen(&desk, actor, since).await?)
        }
        Call::Me => account::me(&desk, headers, origin).await,
        Call::View(view, fetch) => Ok(content::picture(&desk, actor, &view, &fetch).await?),
        Call::Exif(id) => {
            let exif = repository.exif(&actor, &Target::id(id)).await?;
            Ok(told(&ExifReply { exif }))
        }
    }
}

/// Waits for what the repository does in its turn.
async fn changed<T: Serialize + Send + 'static>(
    hand_over: impl FnOnce(Done<T>),
) -> Result<Response, Failure> {
    let (done, promise) = promise();
    hand_over(done);
    Ok(told(&promise.kept().await?))
}

/// What the repository calls once something is committed or refused, and who waits for that.
pub(super) fn promise<T: Send + 'static>() -> (Done<T>, Promise<T>) {
    let (tell, told) = oneshot::channel();
    let done = Box::new(move |outcome| {
        // Nobody waits any more where this fails.
        let _ = tell.send(outcome);
    });
    (done, Promise(told))
}

/// An outcome that is to come.
pub(super) struct Promise<T>(oneshot::Receiver<Result<T, Refusal>>);

impl<T> Promise<T> {
    pub(super) async fn kept(self) -> Result<T, Refusal> {
        let stops = |_| Refusal::new(ErrorCode::ShuttingDown, "the server stops");
        self.0.await.map_err(stops)?
    }
}

/// An outcome in JSON.
pub(super) fn told<T: Serialize>(outcome: &T) -> Response {
    answered(Answer::told(outcome))
}

/// An answer in HTTP's words.
fn answered(answer: Answer) -> Response {
    headed(answer.head, Body::from(answer.body))
}

/// An answer with this head.
pub(super) fn headed(head: Head, body: Body) -> Response {
    let mut response = Response::new(body);
    *response.status_mut() =
        StatusCode::from_u16(head.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut headers = HeaderMap::with_capacity(head.headers.len());
    for (name, value) in head.headers {
        match HeaderValue::try_from(value) {
            Ok(value) => drop(headers.insert(name, value)),
            // Ours are printable ASCII.
            Err(error) => tracing::error!(name, %error, "cannot write a header"),
        }
    }
    *response.headers_mut() = headers;
    response
}
