//! What the handlers of one connection share: who is asking, for as long as that stays true, and the
//! connection's place among all. Who somebody is, the repository says; it is asked again whenever
//! something changed for somebody, as in a session.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, StatusCode};
use bytes::Bytes;
use imgrepo_proto::{ErrorCode, PersonName, Refusal, Secret};
use tokio::sync::watch;

use super::call::Failure;
use super::pace::Pace;
use super::{Upgrade, cookie};
use crate::config::Guests;
use crate::link::Origin;
use crate::repository::{Action, Actor, Object, Repository, authorize};
use crate::server::Context;
use crate::server::entrance::Gone;
use crate::server::registry::{Network, Newcomer, Seat};

/// One connection's.
pub(super) struct Desk {
    pub(super) context: Arc<Context>,
    /// How it came in.
    pub(super) way: Origin,
    pub(super) pace: Arc<Pace>,
    upgrade: Mutex<Option<Upgrade>>,
    newcomer: Newcomer,
    settled: Mutex<Option<Settled>>,
    known: Mutex<Option<Known>>,
    people: watch::Receiver<u64>,
}

/// Who was asking last.
struct Known {
    credential: Option<Secret>,
    origin: Origin,
    /// Until something changes for somebody.
    at: u64,
    actor: Actor,
}

/// A connection that carries out somebody's request, and is not sent away meanwhile.
struct Settled {
    newcomer: Newcomer,
    _seat: Option<Seat<Network>>,
}

impl Drop for Settled {
    fn drop(&mut self) {
        self.newcomer.unsettle();
    }
}

impl Desk {
    pub(super) fn new(
        context: Arc<Context>,
        way: Origin,
        newcomer: Newcomer,
        pace: Arc<Pace>,
    ) -> Desk {
        let people = context.repository.people_changed();
        let (upgrade, settled, known) = (Mutex::default(), Mutex::default(), Mutex::default());
        Desk { context, way, pace, upgrade, newcomer, settled, known, people }
    }

    pub(super) fn repository(&self) -> &Repository {
        &self.context.repository
    }

    pub(super) fn grant(&self, upgrade: Upgrade) {
        *lock(&self.upgrade) = Some(upgrade);
    }

    pub(super) fn granted(&self) -> Option<Upgrade> {
        lock(&self.upgrade).take()
    }

    /// Who asks: the account whose device the cookie is of, or, without one, the guest `anon` where
    /// guests are let in.
    pub(super) async fn actor(
        &self,
        headers: &HeaderMap,
        origin: Origin,
    ) -> Result<Actor, Refusal> {
        let credential = cookie::read(headers);
        // Before the question: what changes meanwhile is asked again.
        let at = *self.people.borrow();
        if let Some(known) = &*lock(&self.known)
            && known.at == at
            && known.origin == origin
            && known.credential == credential
        {
            return Ok(known.actor.clone());
        }
        let actor = match &credential {
            Some(credential) => self.context.authenticate(None, credential, origin).await?,
            None if self.context.guests(origin) == Guests::No => return Err(nobody()),
            None => self.context.guest(&PersonName::anon(), origin).await?,
        };
        *lock(&self.known) = Some(Known { credential, origin, at, actor: actor.clone() });
        Ok(actor)
    }

    /// That who asks is somebody: while they are answered their connection is not sent away to make
    /// room for others. The error says why there is no such place; one is answered all the same, but
    /// what lasts needs a place.
    pub(super) fn settle(&self, origin: Origin) -> Result<(), Refusal> {
        let refused = |text| Refusal::new(ErrorCode::Busy, text);
        let _seat = self.context.seat(origin).map_err(refused)?;
        self.newcomer.settle();
        *lock(&self.settled) = Some(Settled { newcomer: self.newcomer.clone(), _seat });
        Ok(())
    }

    /// The request was answered, to the last byte or as far as it went.
    pub(super) fn answered(&self) {
        lock(&self.settled).take();
        self.pace.idle();
    }

    /// A body that fits; it is due as a head is.
    pub(super) async fn small_body(&self, body: Body, most: usize) -> Result<Bytes, Failure> {
        self.pace.expect();
        let read = to_bytes(body, most).await.map_err(|_| {
            let text = format!("cannot read the request: it is cut, or longer than {most} bytes");
            let refusal = Refusal::new(ErrorCode::BadRequest, text);
            Failure::with(StatusCode::PAYLOAD_TOO_LARGE, &refusal)
        });
        self.pace.busy();
        read
    }

    /// The leave of this person to do something that takes its time.
    pub(super) fn leave(&self, actor: Actor, action: Action) -> Leave {
        // As of the connection's beginning: what changed since then costs one look.
        Leave { context: self.context.clone(), actor, action, people: self.people.clone() }
    }
}

/// What somebody was let do at first, and as long as it lasts.
pub(super) struct Leave {
    context: Arc<Context>,
    actor: Actor,
    action: Action,
    people: watch::Receiver<u64>,
}

impl Leave {
    /// That it is so still; asks only where something has changed for somebody.
    pub(super) async fn still(&mut self) -> Result<(), Refusal> {
        match self.people.has_changed() {
            Ok(true) => self.look().await,
            Ok(false) | Err(_) => Ok(()),
        }
    }

    /// Resolves once it is so no more. Cancel-safe.
    pub(super) async fn ended(&mut self) -> Refusal {
        while self.people.changed().await.is_ok() {
            // Seen again by the next call, where this one is dropped.
            self.people.mark_changed();
            if let Err(refusal) = self.look().await {
                return refusal;
            }
        }
        std::future::pending().await
    }

    async fn look(&mut self) -> Result<(), Refusal> {
        let at = *self.people.borrow_and_update();
        self.people.mark_changed();
        let actor =
            self.context.refresh(&self.actor).await.map_err(|Gone { reason, .. }| {
                tracing::info!(reason, "a browser's request is ended");
                Refusal::new(ErrorCode::Unauthenticated, reason)
            })?;
        authorize(&actor, self.action, Object::Any)?;
        self.actor = actor;
        if *self.people.borrow() == at {
            self.people.mark_unchanged();
        }
        Ok(())
    }
}

/// To a browser that says nothing of who it is.
pub(super) fn nobody() -> Refusal {
    Refusal::new(ErrorCode::Unauthenticated, "this browser is not logged in here")
        .hint("open a new link in it: ask for an invitation, or print one by `imgctl login-link`")
}

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}
