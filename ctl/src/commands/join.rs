//! `imgctl join [LINK]`: takes up an invitation. The daemon makes the account, keeps the credential
//! and connects; here the link is read, and what came of it is said: that one joined also where there
//! is no session yet. The link is never shown.

use std::io::{self, BufRead as _, IsTerminal as _, Read as _, Write as _};

use imgrepo_proto::control::Request;
use imgrepo_proto::control::people::PeopleRequest;
use imgrepo_proto::control::reply::SessionState;
use imgrepo_proto::invitation::{Link, MAX_LINK_BYTES};
use imgrepo_proto::name::shown;
use imgrepo_proto::{ErrorCode, Refusal, Secret};

use crate::cli;
use crate::commands::{status, up};
use crate::context::Context;
use crate::echo::Silence;
use crate::failure::{Failure, cause};

/// What is done here, for its errors.
const ACT: &str = "join";

/// Joins, and says who one is now.
pub(crate) fn run(context: &Context, args: cli::Join) -> Result<(), Failure> {
    let wrap = |refusal| Failure::new(ACT, refusal);
    let given = args.link.map(|text| read(&text)).transpose().map_err(wrap)?;
    // Before a person is asked for something that leads nowhere.
    up::ensure_daemon(context)?;
    let link = match given {
        Some(link) => link,
        None => asked(context).and_then(|text| read(&text)).map_err(wrap)?,
    };
    let request = PeopleRequest::Join { link, user: args.user, device: args.device };
    let status = status::of(ACT, context.ask(ACT, &Request::People(request))?)?;
    // One joined, whatever keeps the session from being opened.
    let not_connected = status::not_connected(&status.session);
    if context.out.json() {
        status::show(context, &status, false)?;
        return not_connected.map_or(Ok(()), |why| Err(Failure::Said(why.code.exit_code())));
    }
    let session = &status.session;
    let role = session.role.as_deref().map(|role| format!(" ({})", shown(role)));
    let at = session.url.as_deref().map(|url| format!(" at {}", shown(url)));
    let (role, at) = (role.unwrap_or_default(), at.unwrap_or_default());
    context.out.confirm(&format!("you are {}{role}{at}", shown(&session.user)));
    if let Some(why) = not_connected {
        let why = match (&why.hint, session.state) {
            (None, SessionState::Connecting | SessionState::Waiting) => {
                why.hint("the daemon goes on trying; see: imgctl status")
            }
            _ => why,
        };
        return Err(Failure::new("connect", why));
    }
    if let Some(transport) = session.transport.and_then(status::transport) {
        context.out.confirm(transport);
    }
    if let Some(notice) = &session.notice {
        context.out.note(&shown(notice));
    }
    // Who only looks has nothing to put anywhere.
    let next = match session.role.as_deref() {
        Some("viewer") => "imgctl list",
        _ => "imgctl watch add DIR",
    };
    context.out.note(&format!("next: {next}"));
    Ok(())
}

/// The link in a text. What cannot be read is known here already, and not quoted.
fn read(text: &str) -> Result<Secret, Refusal> {
    text.parse::<Link>()?;
    Secret::parse(text.trim()).map_err(|bad| Refusal::new(ErrorCode::BadRequest, bad.to_string()))
}

/// Asks a person at the terminal, without showing the answer; else reads a line of standard input.
fn asked(context: &Context) -> Result<String, Refusal> {
    let terminal = io::stdin().is_terminal();
    let _silence = terminal.then(|| Silence::begin(&context.cancel));
    if terminal {
        // What the terminal does not take, the person did not see; then nothing is typed either.
        let _ = write!(io::stderr(), "Paste the invitation (it is not shown): ");
    }
    let mut line = String::new();
    // With room for an end of the line, and one more to tell what is too long.
    let bounded = io::stdin().lock().take(MAX_LINK_BYTES as u64 + 3);
    let read = io::BufReader::new(bounded).read_line(&mut line);
    if terminal {
        let _ = writeln!(io::stderr());
    }
    match read {
        Ok(_) if !line.trim().is_empty() => Ok(line),
        Ok(_) => Err(Refusal::new(ErrorCode::Usage, "cannot join: no invitation was given")
            .hint("imgctl join LINK")),
        Err(error) => Err(Refusal::new(
            ErrorCode::FileError,
            format!("cannot read the invitation: {}", cause(&error)),
        )),
    }
}
