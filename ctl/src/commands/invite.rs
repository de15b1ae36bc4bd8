//! `imgctl invite`: a link that lets somebody in; `invite ls|revoke ID`: those that were given.

use imgrepo_proto::control::people::{PeopleOutcome, PeopleRequest};
use imgrepo_proto::name::shown;
use imgrepo_proto::session::command::{Invite, Uninvite};
use imgrepo_proto::session::people::{Invitation, InvitationId, InvitationReply, InvitationsReply};
use jiff::Timestamp;

use crate::cli::{self, Invitations};
use crate::context::Context;
use crate::failure::Failure;
use crate::listing::Cells;
use crate::people;
use crate::table::Align;

/// Carries out one of them.
pub(crate) fn run(context: &Context, args: cli::Invite) -> Result<(), Failure> {
    match args.given {
        None => invite(context, args.new),
        Some(Invitations::Ls) => ls(context),
        Some(Invitations::Revoke { id }) => revoke(context, InvitationId(id)),
    }
}

fn invite(context: &Context, args: cli::NewInvitation) -> Result<(), Failure> {
    let invite = Invite {
        role: Some(args.role),
        person: None,
        guest: args.guest,
        uses: args.uses,
        seconds: args.parcel.expires,
    };
    let reply = people::invite(context, "invite", invite)?;
    people::hand_over(context, &reply, true, !args.parcel.no_qr)
}

fn ls(context: &Context) -> Result<(), Failure> {
    let act = "list the invitations";
    let reply = people::ask(context, act, PeopleRequest::Invitations, |outcome| match outcome {
        PeopleOutcome::Invitations(reply) => Some(reply),
        _ => None,
    })?;
    let out = &context.out;
    if out.json() {
        return out.document(&reply);
    }
    let InvitationsReply { invitations } = reply;
    if invitations.is_empty() {
        out.note("there is no invitation");
    }
    let (cells, now) = (Cells::of(out), Timestamp::now());
    let rows = invitations.iter().map(|one| row(cells, one, now)).collect();
    let titles = [
        ("ID", Align::Right),
        ("STATE", Align::Left),
        ("UNTIL", Align::Left),
        ("BY", Align::Left),
        ("FOR", Align::Left),
    ];
    cells.show(out, (&titles, true), rows)
}

fn row(cells: Cells, invitation: &Invitation, now: Timestamp) -> Vec<String> {
    vec![
        invitation.id.to_string(),
        state(invitation, now).to_owned(),
        cells.at(Some(invitation.expires)),
        shown(&invitation.by),
        people::for_whom(invitation),
    ]
}

/// Whether it lets in, or why not.
fn state(invitation: &Invitation, now: Timestamp) -> &'static str {
    match invitation {
        Invitation { revoked: Some(_), .. } => "revoked",
        Invitation { uses: 0, .. } => "used",
        Invitation { expires, .. } if *expires <= now => "expired",
        _ => "open",
    }
}

fn revoke(context: &Context, invitation: InvitationId) -> Result<(), Failure> {
    let act = format!("take invitation {invitation} back");
    let request = PeopleRequest::Uninvite(Uninvite { invitation });
    let reply: InvitationReply = people::ask(context, &act, request, |outcome| match outcome {
        PeopleOutcome::Invitation(reply) => Some(reply),
        _ => None,
    })?;
    if context.out.json() {
        return context.out.document(&reply);
    }
    context.out.confirm(&format!("invitation {invitation} lets in nobody any more"));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_invitation_lets_in_until_it_ends_in_one_of_three_ways() {
        let at = |text: &str| -> Timestamp { text.parse().unwrap() };
        let now = at("2026-11-23T06:20:00Z");
        let open = Invitation {
            id: InvitationId(3),
            role: None,
            person: None,
            guest: None,
            uses: 1,
            by: "ana".into(),
            since: now,
            expires: at("2026-11-23T06:20:01Z"),
            revoked: None,
        };
        assert_eq!(state(&open, now), "open");
        assert_eq!(state(&open, open.expires), "expired");
        assert_eq!(state(&Invitation { uses: 0, ..open.clone() }, now), "used");
        assert_eq!(state(&Invitation { revoked: Some(now), ..open }, now), "revoked");
    }
}
