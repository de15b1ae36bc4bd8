//! Who is let in, and who no more: the one way in for sessions of both dialects and for browsers. The
//! repository knows the people; what only the server knows is added here: by which way somebody comes,
//! what guests may, how many there may be, and how often somebody has failed.
//!
//! A right credential always passes, however often others have tried its person's name: it is looked at
//! first, and only failures count.

use std::net::IpAddr;

use imgrepo_proto::session::people::{DeviceKind, Join, JoinReply};
use imgrepo_proto::{ErrorCode, PersonName, Refusal, Secret};

use super::registry::{Network, Seat};
use super::{Context, rates};
use crate::config::Guests;
use crate::link::Origin;
use crate::repository::catalog::PersonId;
use crate::repository::{Actor, Authentication, LOCAL};

impl Context {
    /// What one may do who comes from there without a credential.
    pub(super) fn guests(&self, origin: Origin) -> Guests {
        match origin.is_private() || self.settings.plaintext_guests {
            true => self.settings.guests,
            false => Guests::No,
        }
    }

    /// The guest of this name.
    pub(super) async fn guest(&self, name: &PersonName, origin: Origin) -> Result<Actor, Refusal> {
        let may_upload = match self.guests(origin) {
            Guests::No => {
                let message = "this repository lets nobody in without an account";
                return Err(Refusal::new(ErrorCode::Denied, message).hint(GET_INVITED));
            }
            Guests::View => false,
            Guests::Upload => true,
        };
        if let Some(address) = counted(origin)
            && !self.repository.knows_guest(name).await?
            && !self.rates.new_guest(address)
        {
            let message = format!(
                "cannot let `{name}` in: {} new names came from your address within a minute",
                rates::GUESTS_BY_ADDRESS
            );
            return Err(Refusal::new(ErrorCode::Busy, message).hint("try again in a minute"));
        }
        self.repository.guest(name, may_upload, &from(origin)).await
    }

    /// The person whose device holds this credential.
    pub(super) async fn authenticate(
        &self,
        user: Option<&str>,
        credential: &Secret,
        origin: Origin,
    ) -> Result<Actor, Refusal> {
        private(origin, "a credential is")?;
        match self.repository.authenticate(user, credential, &from(origin)).await? {
            Authentication::Known(actor) => Ok(actor),
            Authentication::Unknown => {
                self.failed(user, origin)?;
                let message = match user {
                    Some(user) => {
                        let user = imgrepo_proto::name::shown(user);
                        format!("this device is not known here as one of `{user}`")
                    }
                    None => "this device is not known here".to_owned(),
                };
                Err(Refusal::new(ErrorCode::Unauthenticated, message).hint(GET_INVITED))
            }
            Authentication::Revoked => {
                let refusal = Refusal::new(ErrorCode::Unauthenticated, REVOKED);
                Err(refusal.hint(GET_INVITED))
            }
            Authentication::Disabled => {
                let refusal = Refusal::new(ErrorCode::Unauthenticated, DISABLED);
                Err(refusal.hint(BE_ENABLED))
            }
        }
    }

    /// Lets in whoever holds an invitation.
    pub(super) async fn join(
        &self,
        join: &Join,
        kind: DeviceKind,
        origin: Origin,
    ) -> Result<JoinReply, Refusal> {
        private(origin, "an invitation is")?;
        match self.repository.join(join, kind, &from(origin)).await {
            Ok((reply, _)) => Ok(reply),
            Err(refusal) => {
                if refusal.code == ErrorCode::Denied {
                    self.failed(None, origin)?;
                }
                Err(refusal)
            }
        }
    }

    /// Counts a failure to get in, and says so where there were too many.
    fn failed(&self, user: Option<&str>, origin: Origin) -> Result<(), Refusal> {
        if self.rates.failed(user, origin.address()) {
            tracing::info!(?origin, "somebody could not prove who they are");
            return Ok(());
        }
        tracing::debug!(?origin, "somebody fails to prove who they are, too often");
        let message = "there were too many failed tries with that name or from your address";
        Err(Refusal::new(ErrorCode::Busy, message).hint("try again in a minute"))
    }

    /// A place among the sessions from there, for as long as one lasts. The error says why there is
    /// none.
    pub(super) fn seat(&self, origin: Origin) -> Result<Option<Seat<Network>>, String> {
        let most = self.settings.sessions_per_address;
        let Some(address) = counted(origin) else { return Ok(None) };
        match self.registry.networks.take(Network::of(address), most) {
            Some(seat) => Ok(Some(seat)),
            None => Err(format!(
                "your address has {} here already; end some, or have whoever runs the server raise \
                 `sessions_per_address`",
                sessions(most)
            )),
        }
    }

    /// A place among the sessions of an account.
    pub(super) fn sit_down(&self, actor: &Actor) -> Result<Seat<PersonId>, Refusal> {
        let most = self.settings.sessions_per_person;
        self.registry.people.take(actor.person, most).ok_or_else(|| {
            let message = format!("`{}` has {} here already", actor.name, sessions(most));
            let refusal = Refusal::new(ErrorCode::Busy, message);
            refusal.hint("end one, or have a device revoked that nobody uses any more")
        })
    }

    /// What has become of somebody who is let in.
    pub(super) async fn refresh(&self, actor: &Actor) -> Result<Actor, Gone> {
        let not_let_in = |reason| Err(Gone { code: 1008, reason });
        match self.repository.refresh(actor).await {
            Ok(Authentication::Known(actor)) => Ok(actor),
            Ok(Authentication::Unknown) => not_let_in("this person is not known any more"),
            Ok(Authentication::Revoked) => not_let_in(REVOKED),
            Ok(Authentication::Disabled) => not_let_in(DISABLED),
            Err(refusal) => {
                tracing::error!(reason = %refusal, "cannot look up who a session belongs to");
                Err(Gone { code: 1011, reason: "the server cannot look up who this is" })
            }
        }
    }
}

/// Why a session goes on no more, and the code that closes it (RFC 6455, 7.4.1): one that may come
/// again is not told that it may not.
pub(super) struct Gone {
    pub(super) code: u16,
    pub(super) reason: &'static str,
}

const REVOKED: &str = "this device was revoked";
const DISABLED: &str = "this account is disabled";
const BE_ENABLED: &str = "ask an admin to let you in again, then: imgctl connect URL";
const GET_INVITED: &str = "ask an admin for an invitation and take it up: imgctl join LINK";

/// Refuses what may be read on the way.
fn private(origin: Origin, what: &str) -> Result<(), Refusal> {
    if origin.is_private() {
        return Ok(());
    }
    let message = format!("{what} not taken from another computer over an unencrypted connection");
    let refusal = Refusal::new(ErrorCode::Denied, message);
    // It was on the wire already.
    Err(refusal.hint("use wss:// (`imgctl join LINK` does), and have what was sent now replaced"))
}

/// The address whose sessions and guests are counted: not this computer's own, which everybody has who
/// works here or comes by a tunnel.
fn counted(origin: Origin) -> Option<IpAddr> {
    origin.address().filter(|address| !address.is_loopback())
}

/// So many sessions, in words.
fn sessions(count: u32) -> String {
    format!("{count} session{}", if count == 1 { "" } else { "s" })
}

/// In the words of the record: an address, or that it was from within.
fn from(origin: Origin) -> String {
    origin.address().map_or_else(|| LOCAL.to_owned(), |address| address.to_string())
}
