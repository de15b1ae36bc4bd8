//! AUTH: who is there, what the server takes, and from where on events are sent.

use imgrepo_proto::session::RequestId;
use imgrepo_proto::session::command::Auth;
use imgrepo_proto::session::reply::{AuthReply, encode_success};
use imgrepo_proto::{ErrorCode, PersonName, Refusal};

use super::{Session, events};
use crate::link::Origin;
use crate::repository::Actor;

impl Session {
    pub(super) async fn auth(&mut self, id: RequestId, auth: Auth, known: Option<Actor>) {
        if known.is_some() {
            let message = "this session has said who it is already";
            return self.complain(Some(id), Refusal::new(ErrorCode::BadRequest, message));
        }
        let actor = match self.actor(&auth).await {
            Ok(actor) => actor,
            Err(refusal) => return self.complain(Some(id), refusal),
        };
        let context = &self.common.context;
        let announced = context.repository.announced();
        let newest = *announced.borrow();
        let since = auth.events_since.unwrap_or(newest);
        // EVENTS may have told the client of what is committed and not announced yet: the catalog
        // decides.
        if since > newest
            && let Err(refusal) = context.repository.events(since, 1).await
        {
            return self.complain(Some(id), refusal);
        }
        let reply = AuthReply {
            server: context.program.clone(),
            repository: context.repository.id(),
            limits: context.settings.limits,
            role: actor.role.word().to_owned(),
            can: actor.role.can(),
            seq: newest.max(since),
        };
        tracing::debug!(
            user = %imgrepo_proto::name::shown(actor.name.as_str()),
            client = %auth.client.as_ref().map(super::named).unwrap_or_default(),
            origin = ?self.origin,
            "a session began"
        );
        self.common.outbox.push(encode_success(id, &reply));
        self.actor = Some(actor);
        // Ends with the link, and is the session's like every other task.
        self.tasks.spawn(events::pump(self.common.clone(), announced, since));
    }

    async fn actor(&self, auth: &Auth) -> Result<Actor, Refusal> {
        let context = &self.common.context;
        if self.origin == Origin::Local {
            return Ok(context.repository.owner());
        }
        if !context.admits_guests(self.origin) {
            let message = "this repository lets nobody in without an account";
            return Err(Refusal::new(ErrorCode::Denied, message));
        }
        let name = match auth.user.as_deref().map(str::trim) {
            None | Some("") => PersonName::anon(),
            Some(name) => PersonName::parse(name).map_err(|error| {
                let name = imgrepo_proto::name::shown(name);
                let message = format!("`{name}` cannot be a person's name: {error}");
                Refusal::new(ErrorCode::BadName, message)
            })?,
        };
        context.repository.guest(&name, true, "network").await
    }
}
