//! The first invitation of a server: one is made while nobody was let in and none waits, so that
//! doing it again makes no second one.

use imgrepo_proto::control::people::{PeopleOutcome, PeopleRequest};
use imgrepo_proto::control::{Outcome, Request};
use imgrepo_proto::session::command::{Invite, People};
use imgrepo_proto::session::people::{InviteReply, PersonKind};
use imgrepo_proto::{ErrorCode, Refusal};
use jiff::Timestamp;

use crate::context::{Context, unexpected};

/// What came of it.
pub(super) enum Invited {
    /// It was made.
    New(Box<InviteReply>),
    /// Who was invited is in, or may still come.
    Before,
    /// It could not be made.
    Not(Refusal),
}

/// Makes it, where it is due.
pub(super) fn first(context: &Context) -> Invited {
    match is_due(context) {
        Ok(true) => match ask(context, PeopleRequest::Invite(Invite::default())) {
            Ok(PeopleOutcome::Invited(reply)) => Invited::New(Box::new(reply)),
            Ok(_) => Invited::Not(Refusal::new(ErrorCode::Internal, "it was not answered")),
            Err(refusal) => Invited::Not(refusal),
        },
        Ok(false) => Invited::Before,
        Err(refusal) => Invited::Not(refusal),
    }
}

fn is_due(context: &Context) -> Result<bool, Refusal> {
    // Accounts stand on the first page.
    if let PeopleOutcome::People(reply) = ask(context, PeopleRequest::Ls(People::default()))?
        && reply.people.iter().any(|person| person.kind == PersonKind::Account)
    {
        return Ok(false);
    }
    let now = Timestamp::now();
    Ok(match ask(context, PeopleRequest::Invitations)? {
        PeopleOutcome::Invitations(reply) => !reply.invitations.iter().any(|invitation| {
            invitation.revoked.is_none() && invitation.uses > 0 && invitation.expires > now
        }),
        _ => true,
    })
}

fn ask(context: &Context, request: PeopleRequest) -> Result<PeopleOutcome, Refusal> {
    match context.open()?.call(&Request::People(request))? {
        Outcome::People(outcome) => Ok(*outcome),
        other => Err(unexpected(&other)),
    }
}
