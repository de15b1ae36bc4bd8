//! Bare `imgctl` on a terminal: a small menu with the choices of the old client, in the language of
//! the system. It asks for words and runs the commands of the command line; it does nothing itself.

mod texts;
mod words;

use std::io::{self, BufRead as _, Write as _};
use std::sync::Arc;

use imgrepo_proto::control::Request;
use imgrepo_proto::control::reply::SessionState;

use self::texts::Texts;
use crate::cli;
use crate::commands::{self, status};
use crate::context::Context;
use crate::failure::Failure;

/// A choice of the menu.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Choice {
    Upload,
    List,
    Download,
    View,
    Disconnect,
    Quit,
}

/// Shows the menu until the person leaves it.
pub(crate) fn run(context: &Arc<Context>) -> Result<(), Failure> {
    let texts = texts::of(|name| std::env::var_os(name));
    connect(context, texts)?;
    while let Some(choice) = choose(context, texts)? {
        let args = match choice {
            Choice::Quit => break,
            Choice::List => vec!["list".to_owned()],
            Choice::Disconnect => vec!["disconnect".to_owned()],
            Choice::Upload => match ask(texts.which_files)? {
                Some(line) => {
                    [vec!["upload".to_owned(), "--".to_owned()], words::paths(&line)].concat()
                }
                None => continue,
            },
            Choice::Download | Choice::View => match ask(texts.which_image)? {
                Some(line) => {
                    let verb = if choice == Choice::View { "view" } else { "download" };
                    [verb, "--", line.trim()].map(str::to_owned).to_vec()
                }
                None => continue,
            },
        };
        command(context, &args)?;
        if choice == Choice::Disconnect {
            break;
        }
    }
    Ok(())
}

/// What the old client could do, in its order.
const CHOICES: [Choice; 5] =
    [Choice::Upload, Choice::List, Choice::Download, Choice::View, Choice::Disconnect];

/// Says how the session is; where there is none, asks where to.
fn connect(context: &Arc<Context>, texts: &Texts) -> Result<(), Failure> {
    let act = "show the status";
    let status = status::of(act, context.ask(act, &Request::Status)?)?;
    context.out.line(&status::said(&status.session))?;
    if status.session.state == SessionState::Offline
        && let Some(server) = ask(texts.which_server)?
    {
        command(context, &["connect".to_owned(), "--".to_owned(), server.trim().to_owned()])?;
    }
    Ok(())
}

fn choose(context: &Context, texts: &Texts) -> Result<Option<Choice>, Failure> {
    loop {
        context.out.line("")?;
        for (at, choice) in CHOICES.iter().enumerate() {
            context.out.line(&format!("  {}  {}", at + 1, texts.of(*choice)))?;
        }
        context.out.line(&format!("  0  {}", texts.of(Choice::Quit)))?;
        let Some(answer) = answer(texts.choose)? else { return Ok(None) };
        let answer = answer.trim();
        // By its number, or by its word as the old client's protocol had it.
        let named = |choice: &&Choice| texts.of(**choice).eq_ignore_ascii_case(answer);
        match answer.parse::<usize>().map(|number| number.checked_sub(1)) {
            Ok(None) => return Ok(Some(Choice::Quit)),
            Ok(Some(at)) if at < CHOICES.len() => return Ok(CHOICES.get(at).copied()),
            _ => match CHOICES.iter().chain([&Choice::Quit]).find(named) {
                Some(choice) => return Ok(Some(*choice)),
                None => context.out.line(texts.unknown)?,
            },
        }
    }
}

/// Runs a command line; what went wrong is said, and the menu goes on.
fn command(context: &Arc<Context>, args: &[String]) -> Result<(), Failure> {
    let outcome = match cli::command(args) {
        Ok(command) => commands::run(context, command),
        Err(failure) => Err(failure),
    };
    if let Err(failure) = outcome {
        context.out.error(&failure);
    }
    context.out.flush()?;
    // Who interrupted it, or closed the terminal, wants the end of all.
    match context.cancel.rest() {
        Some(refusal) => Err(Failure::Said(refusal.code.exit_code())),
        None => Ok(()),
    }
}

/// What a person types after a question; None for nothing.
fn ask(question: &str) -> Result<Option<String>, Failure> {
    Ok(answer(question)?.filter(|line| !line.trim().is_empty()))
}

/// The same; None at the end of the input.
fn answer(question: &str) -> Result<Option<String>, Failure> {
    // What the terminal does not take, the person did not see; then nothing is typed either.
    let _ = write!(io::stdout(), "{question} ").and_then(|()| io::stdout().flush());
    let mut line = String::new();
    match io::stdin().lock().read_line(&mut line) {
        Ok(1..) => Ok(Some(line)),
        Ok(0) | Err(_) => {
            // What comes next begins a line.
            let _ = writeln!(io::stdout());
            Ok(None)
        }
    }
}
