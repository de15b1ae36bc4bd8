//! AUTH and JOIN: who is there, what the server takes, and from where on events are sent; and what
//! becomes of a session whose person or device is let in no more, or as something else.

use std::time::Duration;

use imgrepo_proto::session::command::Auth;
use imgrepo_proto::session::people::{DeviceKind, Join};
use imgrepo_proto::session::reply::{self, AuthReply, encode_success};
use imgrepo_proto::session::{RequestId, ServerMessage};
use imgrepo_proto::{ErrorCode, PersonName, Refusal};
use tokio::time::timeout;

use super::{Session, events};
use crate::link::Origin;
use crate::repository::{Action, Actor, Object, authorize};
use crate::server::entrance::Gone;
use crate::server::feed::Feed;

/// How long a request about people may still take when its own person is let in no more: it is a
/// commit and a reply, and who does not read that is not waited for.
const ANSWERED_WITHIN: Duration = Duration::from_millis(500);

impl Session {
    pub(super) async fn auth(&mut self, id: RequestId, auth: Auth, known: Option<Actor>) {
        if known.is_some() {
            let message = "this session has said who it is already";
            return self.complain(Some(id), Refusal::new(ErrorCode::BadRequest, message));
        }
        // What changes from here on is seen by `refresh`.
        self.people.borrow_and_update();
        let actor = match self.actor(&auth).await {
            Ok(actor) => actor,
            Err(refusal) => return self.turn_away(id, refusal),
        };
        if let Err(refusal) = self.sit_down(&actor) {
            return self.turn_away(id, refusal);
        }
        let context = &self.common.context;
        let feed = match Feed::after(context, auth.events_since).await {
            Ok(feed) => feed,
            Err(refusal) => return self.complain(Some(id), refusal),
        };
        let reply = AuthReply {
            server: context.program.clone(),
            repository: context.repository.id(),
            limits: context.settings.limits,
            role: actor.role.word().to_owned(),
            can: actor.role.can(),
            seq: feed.newest(),
            lost: context.repository.has_losses(),
        };
        tracing::debug!(
            user = %imgrepo_proto::name::shown(actor.name.as_str()),
            client = %auth.client.as_ref().map(super::named).unwrap_or_default(),
            origin = ?self.origin,
            "a session began"
        );
        self.common.outbox.push(encode_success(id, &reply));
        self.actor = Some(actor);
        self.entry.is_open();
        // Ends with the link, and is the session's like every other task.
        let pump = events::pump(self.common.clone(), feed);
        self.events = Some(self.tasks.spawn(pump));
    }

    /// Takes one of the account's places, and that of the connection for good. The owner's sessions
    /// from within are not counted, nor are a guest's: whoever says that name would keep them out.
    fn sit_down(&mut self, actor: &Actor) -> Result<(), Refusal> {
        let context = &self.common.context;
        if actor.device.is_some() {
            self.seat = Some(context.sit_down(actor)?);
        }
        if let Some(newcomer) = &self.newcomer {
            newcomer.settle();
        }
        Ok(())
    }

    async fn actor(&self, auth: &Auth) -> Result<Actor, Refusal> {
        let context = &self.common.context;
        if self.origin == Origin::Local {
            return Ok(context.repository.owner());
        }
        if let Some(credential) = &auth.credential {
            let user = auth.user.as_deref().map(str::trim).filter(|user| !user.is_empty());
            return context.authenticate(user, credential, self.origin).await;
        }
        let name = match auth.user.as_deref().map(str::trim) {
            None | Some("") => PersonName::anon(),
            Some(name) => PersonName::parse(name).map_err(|error| {
                let name = imgrepo_proto::name::shown(name);
                let message = format!("`{name}` cannot be a person's name: {error}");
                Refusal::new(ErrorCode::BadName, message)
            })?,
        };
        context.guest(&name, self.origin).await
    }

    /// Takes up an invitation. AUTH with what it gives may follow on this session.
    pub(super) async fn join(&mut self, id: RequestId, join: Join, known: Option<Actor>) {
        if known.is_some() {
            let message = "this session has said who it is already: JOIN comes instead of AUTH";
            return self.complain(Some(id), Refusal::new(ErrorCode::BadRequest, message));
        }
        match self.common.context.join(&join, DeviceKind::Program, self.origin).await {
            Ok(reply) => {
                tracing::debug!(
                    client = %join.client.as_ref().map(super::named).unwrap_or_default(),
                    origin = ?self.origin,
                    "an invitation was taken up"
                );
                self.common.outbox.push(encode_success(id, &reply));
            }
            Err(refusal) => self.turn_away(id, refusal),
        }
    }

    /// Refuses AUTH or JOIN. Who tries too often has to come again.
    fn turn_away(&mut self, id: RequestId, refusal: Refusal) {
        let is_busy = refusal.code == ErrorCode::Busy;
        self.complain(Some(id), refusal);
        if is_busy {
            self.close(1013, "too much at once");
        }
    }

    /// Looks up anew who this is, because something changed for somebody.
    pub(super) async fn refresh(&mut self) {
        let Some(actor) = &self.actor else { return };
        if self.origin == Origin::Local {
            return;
        }
        let before = actor.role;
        let actor = match self.common.context.refresh(actor).await {
            Ok(actor) => actor,
            Err(Gone { code, reason }) => {
                tracing::info!(reason, origin = ?self.origin, "a session is ended");
                // Who took back what lets them in hears first that it was done.
                let answered = async { while self.acts.join_next().await.is_some() {} };
                let _ = timeout(ANSWERED_WITHIN, answered).await;
                return self.close(code, reason);
            }
        };
        if actor.role != before {
            let (role, can) = (actor.role.word().to_owned(), actor.role.can());
            let told = ServerMessage::Actor(reply::Actor { role, can });
            self.common.outbox.push(told.encode());
        }
        if let Err(refusal) = authorize(&actor, Action::Upload, Object::Any) {
            for id in self.common.requests.incoming() {
                self.refuse(id, refusal.clone());
            }
        }
        self.actor = Some(actor);
    }
}
