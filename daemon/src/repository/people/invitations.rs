//! Invitations: made, listed, taken back. Called by the server for each session's [`Actor`]; the link
//! around the secret is the server's to write. Who comes by one is `entrance`'s.

use imgrepo_proto::limits::{INVITATION_SECONDS, MAX_INVITATION_SECONDS, MAX_INVITATION_USES};
use imgrepo_proto::name::shown;
use imgrepo_proto::session::people::{
    AccountRole, Invitation, InvitationId, InvitationReply, InvitationsReply, Invite, Uninvite,
};
use imgrepo_proto::{ErrorCode, PersonName, Refusal, Secret};
use jiff::{SignedDuration, Timestamp};

use super::accounts::{ENDED_SHOWN, MAX_ENDED, by};
use super::entrance::new_secret;
use super::{Action, Actor, Object, authorize};
use crate::repository::catalog::page::fitting;
use crate::repository::catalog::people::{
    Act, GUEST_SUFFIX, KnownInvitation, KnownPerson, NewInvitation, SecretHash,
};
use crate::repository::catalog::{PersonId, PersonKind};
use crate::repository::{Inner, Repository, faults};

/// Bytes of an invitation's secret: nobody guesses them, and the link stays short enough to be seen by
/// a camera.
const INVITATION_BYTES: usize = 16;

/// What is wrong with an invitation that is asked for, if anything, before it is asked who may.
fn check(invite: &Invite) -> Result<(u32, u64), Refusal> {
    let bad = |message: String| Err(Refusal::new(ErrorCode::BadRequest, message));
    let (uses, seconds) = (invite.uses.unwrap_or(1), invite.seconds.unwrap_or(INVITATION_SECONDS));
    if !(1..=MAX_INVITATION_USES).contains(&uses) {
        return bad(format!("cannot invite {uses} times, the limit is {MAX_INVITATION_USES}"));
    }
    if !(1..=MAX_INVITATION_SECONDS).contains(&seconds) {
        let most = MAX_INVITATION_SECONDS;
        return bad(format!("cannot invite for {seconds} seconds, the limit is {most}"));
    }
    if invite.person.is_some() && (invite.role.is_some() || invite.guest.is_some()) {
        return bad("cannot invite: a further device has its person's role and images".to_owned());
    }
    if invite.guest.is_some() && uses > 1 {
        return bad("cannot invite: a guest's images can become one person's alone".to_owned());
    }
    Ok((uses, seconds))
}

impl Inner {
    /// The guest of this name, or the one who is shown under it.
    fn guest_named(&self, text: &str) -> Result<KnownPerson, Refusal> {
        let text = text.trim();
        for text in [Some(text), text.strip_suffix(GUEST_SUFFIX)].into_iter().flatten() {
            if let Ok(name) = PersonName::parse(text)
                && let Some(guest) = self.named(PersonKind::Guest, &name)?
            {
                return Ok(guest);
            }
        }
        let message = format!("no guest was here under the name `{}`", shown(text));
        Err(Refusal::new(ErrorCode::NotFound, message))
    }

    fn told_invitation(&self, known: &KnownInvitation) -> Result<Invitation, Refusal> {
        let name = |id: Option<PersonId>| id.map(|id| self.name(id)).transpose();
        Ok(Invitation {
            id: known.id,
            role: known.role,
            person: name(known.person)?,
            guest: name(known.guest)?,
            uses: known.uses_left,
            by: self.name(known.by)?,
            since: known.created_at,
            expires: known.expires_at,
            revoked: known.revoked_at,
        })
    }

    fn invitation(&self, uninvite: Uninvite) -> Result<KnownInvitation, Refusal> {
        let id = uninvite.invitation;
        let found = self.catalog.invitation(id).map_err(|error| faults::catalog(&error))?;
        let message = || format!("cannot take back invitation {id}: there is none of that number");
        found.ok_or_else(|| Refusal::new(ErrorCode::NotFound, message()))
    }
}

impl Repository {
    /// A new invitation, and what lets in by it: it is told this once.
    ///
    /// # Errors
    /// `denied`, `bad_request`, `not_found`, `conflict`; the disk's.
    pub async fn invite(
        &self,
        actor: &Actor,
        invite: &Invite,
    ) -> Result<(Invitation, Secret), Refusal> {
        let (uses, seconds) = check(invite)?;
        let invite = invite.clone();
        self.people_hop(actor, move |inner, actor| {
            let person = match &invite.person {
                Some(name) => {
                    let object = format!("a device of `{}`", shown(name));
                    let found = inner.account(name);
                    let whose = match &found {
                        Ok(person) => Object::Of(person.id, &object),
                        Err(_) => Object::Missing(&object),
                    };
                    authorize(actor, Action::Invite, whose)?;
                    Some(found?)
                }
                None => {
                    authorize(actor, Action::Invite, Object::Any)?;
                    None
                }
            };
            let guest = invite.guest.as_deref().map(|name| inner.guest_named(name)).transpose()?;
            let secret = new_secret::<INVITATION_BYTES>()?;
            let seconds = i64::try_from(seconds).unwrap_or(i64::MAX);
            let expires_at = Timestamp::now().checked_add(SignedDuration::from_secs(seconds));
            let new = NewInvitation {
                secret: SecretHash::of(&secret),
                role: match person {
                    Some(_) => None,
                    None => Some(invite.role.unwrap_or(AccountRole::Member)),
                },
                person: person.map(|person| person.id),
                guest: guest.map(|guest| guest.id),
                uses,
                expires_at: expires_at.map_err(|error| faults::internal(&error))?,
            };
            let acted = inner.act(&Act::Invite(new), &by(actor))?;
            let invitation = InvitationId(acted.number);
            let known = inner.invitation(Uninvite { invitation })?;
            Ok((inner.told_invitation(&known)?, secret))
        })
        .await
    }

    /// The invitations that this person may see: all, or those that they made.
    ///
    /// # Errors
    /// `denied`; the disk's.
    pub async fn invitations(&self, actor: &Actor) -> Result<InvitationsReply, Refusal> {
        let actor = actor.clone();
        self.hop(move |inner| {
            let actor = inner.anew(&actor)?;
            let made_by = match authorize(&actor, Action::Invitations, Object::Any) {
                Ok(()) => None,
                Err(_) => {
                    let own = Object::Of(actor.person, &"invitations");
                    authorize(&actor, Action::Invitations, own)?;
                    Some(actor.person)
                }
            };
            let now = Timestamp::now();
            let since = now.checked_sub(ENDED_SHOWN).unwrap_or(Timestamp::MIN);
            let found = inner.catalog.invitations(made_by, now, since, MAX_ENDED);
            let found = found.map_err(|error| faults::catalog(&error))?;
            let told = found.iter().map(|known| inner.told_invitation(known));
            let mut invitations = told.collect::<Result<Vec<_>, _>>()?;
            invitations.truncate(fitting(&invitations, invitations.len()));
            Ok(InvitationsReply { invitations })
        })
        .await
    }

    /// Takes an invitation back. One that has ended already stays as it is.
    ///
    /// # Errors
    /// `denied`, `not_found`; the disk's.
    pub async fn uninvite(
        &self,
        actor: &Actor,
        uninvite: &Uninvite,
    ) -> Result<InvitationReply, Refusal> {
        let uninvite = *uninvite;
        self.people_hop(actor, move |inner, actor| {
            let object = format!("invitation {}", uninvite.invitation);
            let found = inner.invitation(uninvite);
            let whose = match &found {
                Ok(known) => Object::Of(known.by, &object),
                Err(_) => Object::Missing(&object),
            };
            authorize(actor, Action::Uninvite, whose)?;
            found?;
            inner.act(&Act::Uninvite(uninvite.invitation), &by(actor))?;
            let invitation = inner.told_invitation(&inner.invitation(uninvite)?)?;
            Ok(InvitationReply { invitation })
        })
        .await
    }
}
