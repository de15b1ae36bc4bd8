//! What commands about people share: a question and its answer, and a link that is handed over. The
//! server decides who may ask for what.

use imgrepo_proto::control::people::{PeopleOutcome, PeopleRequest};
use imgrepo_proto::control::{Outcome, Request};
use imgrepo_proto::name::shown;
use imgrepo_proto::session::command::Invite;
use imgrepo_proto::session::people::{Invitation, InviteReply};
use serde::Serialize;

use crate::context::{Context, unexpected};
use crate::failure::Failure;
use crate::{qr, table};

/// Asks one thing, and takes from the answer what was asked for.
pub(crate) fn ask<T>(
    context: &Context,
    act: &str,
    request: PeopleRequest,
    answer: impl FnOnce(PeopleOutcome) -> Option<T>,
) -> Result<T, Failure> {
    let outcome = context.ask(act, &Request::People(request))?;
    let unexpected = unexpected(&outcome);
    let answer = match outcome {
        Outcome::People(outcome) => answer(*outcome),
        _ => None,
    };
    answer.ok_or_else(|| Failure::new(act, unexpected))
}

/// Has an invitation made.
pub(crate) fn invite(context: &Context, act: &str, invite: Invite) -> Result<InviteReply, Failure> {
    ask(context, act, PeopleRequest::Invite(invite), |outcome| match outcome {
        PeopleOutcome::Invited(reply) => Some(reply),
        _ => None,
    })
}

/// Under which name one is let in.
pub(crate) fn own_name(context: &Context, act: &str) -> Result<String, Failure> {
    match context.ask(act, &Request::Status)? {
        Outcome::Status(status) => Ok(status.session.user),
        other => Err(Failure::new(act, unexpected(&other))),
    }
}

/// `{"v":1,"invitation":{...},"link":"imgrepo://...","page":"https://...","notice":null}`.
#[derive(Serialize)]
struct Document<'a> {
    invitation: &'a Invitation,
    #[serde(skip_serializing_if = "Option::is_none")]
    link: Option<&'a str>,
    page: &'a str,
    notice: &'a Option<String>,
}

/// Hands over a link: alone to a pipe; on a terminal with what a person wants to know of it. `link`
/// is whether it is for a program; else it is for a browser alone.
pub(crate) fn hand_over(
    context: &Context,
    reply: &InviteReply,
    link: bool,
    draw: bool,
) -> Result<(), Failure> {
    let out = &context.out;
    let InviteReply { invitation, notice, .. } = reply;
    let page = reply.page.expose();
    let program = link.then(|| reply.link.expose());
    if out.json() {
        return out.document(&Document { invitation, link: program, page, notice });
    }
    out.line(program.unwrap_or(page))?;
    if out.terminal() {
        let code = draw.then(|| qr::lines(page, out)).flatten().unwrap_or_default();
        for line in [vec![String::new()], code].concat() {
            out.confirm(&line);
        }
        if link {
            out.confirm(&format!("in a browser: {page}"));
        }
        out.confirm(&said(invitation));
    }
    if let Some(notice) = notice {
        out.note(&shown(notice));
    }
    Ok(())
}

/// For whom an invitation is and until when, in a line.
fn said(invitation: &Invitation) -> String {
    let until = table::minute(Some(invitation.expires));
    format!("{}, until {until} (invitation {})", for_whom(invitation), invitation.id)
}

/// For whom an invitation is: `one person, as a member`.
pub(crate) fn for_whom(invitation: &Invitation) -> String {
    let mut text = match (&invitation.person, invitation.uses) {
        (Some(person), 0) => format!("no more device of {}", shown(person)),
        (None, 0) => return "nobody more".to_owned(),
        (Some(person), 1) => format!("one more device of {}", shown(person)),
        (Some(person), uses) => format!("{uses} more devices of {}", shown(person)),
        (None, 1) => "one person".to_owned(),
        (None, uses) => format!("{uses} people"),
    };
    if let Some(role) = invitation.role {
        text += &match invitation.uses {
            1 => format!(", as {}", article(role.word())),
            _ => format!(", as {}s", role.word()),
        };
    }
    if let Some(guest) = &invitation.guest {
        text += &format!(", with the images of the guest {}", shown(guest));
    }
    text
}

/// `an admin`, `a member`.
pub(crate) fn article(word: &str) -> String {
    match word.starts_with(['a', 'e', 'i', 'o', 'u']) {
        true => format!("an {word}"),
        false => format!("a {word}"),
    }
}

#[cfg(test)]
mod tests {
    use imgrepo_proto::session::people::{AccountRole, InvitationId};

    use super::*;

    #[test]
    fn an_invitation_says_for_whom_it_is() {
        let at = "2026-11-23T06:20:01Z".parse().unwrap();
        let one = Invitation {
            id: InvitationId(3),
            role: Some(AccountRole::Admin),
            person: None,
            guest: None,
            uses: 1,
            by: "ana".into(),
            since: at,
            expires: at,
            revoked: None,
        };
        assert_eq!(for_whom(&one), "one person, as an admin");
        let member = Some(AccountRole::Member);
        let guest = Some("bru\u{202e}no".to_owned());
        let said = for_whom(&Invitation { guest, role: member, ..one.clone() });
        assert_eq!(said, "one person, as a member, with the images of the guest bru\\u202eno");
        let class = Invitation { uses: 30, role: Some(AccountRole::Viewer), ..one.clone() };
        assert_eq!(for_whom(&class), "30 people, as viewers");
        assert_eq!(for_whom(&Invitation { uses: 0, ..class }), "nobody more");
        let device = Invitation { person: Some("ana".into()), role: None, ..one };
        assert_eq!(for_whom(&device), "one more device of ana");
    }
}
