//! `imgctl login-link`: a link that lets one's own browser in, once and soon.

use imgrepo_proto::limits::LOGIN_LINK_SECONDS;
use imgrepo_proto::session::command::Invite;

use crate::cli;
use crate::context::Context;
use crate::failure::Failure;
use crate::people;

/// Has it made, and hands it over.
pub(crate) fn run(context: &Context, args: &cli::LoginLink) -> Result<(), Failure> {
    let act = "let a browser in";
    let person = Some(people::own_name(context, act)?);
    let invite =
        Invite { person, uses: Some(1), seconds: Some(LOGIN_LINK_SECONDS), ..Invite::default() };
    let reply = people::invite(context, act, invite)?;
    people::hand_over(context, &reply, false, !args.no_qr)
}
