//! What the process was asked for: its arguments, understood or explained. Called by `main`, and by
//! the menu for a line of its own. Plain calls of the usual verbs are understood by their words alone.

use std::ffi::OsString;
use std::io::IsTerminal as _;

use clap::error::ErrorKind;
use clap::{Args as _, ColorChoice, CommandFactory as _, FromArgMatches as _, Parser as _};
use imgrepo_proto::{ErrorCode, Refusal};

use super::{
    Cli, Command, Download, Events, Global, List, One, Rename, Several, Status, Upload, View,
    people,
};
use crate::failure::Failure;
use crate::output::Output;

/// What the process was asked for.
pub(crate) enum Asked {
    /// This command.
    Command(Box<Cli>),
    /// Nothing, by a person at a terminal.
    Menu,
}

/// Reads the arguments of the process. `Err` is the exit code when all was said already: help, the
/// version, or what is wrong with them.
pub(crate) fn parse() -> Result<Asked, u8> {
    let args: Vec<OsString> = std::env::args_os().collect();
    if args.len() <= 1 && std::io::stdin().is_terminal() && std::io::stdout().is_terminal() {
        return Ok(Asked::Menu);
    }
    if let Some(cli) = quick(&args) {
        return Ok(Asked::Command(Box::new(cli)));
    }
    let mut command = Cli::command();
    let never = args.windows(2).any(|pair| pair[0] == "--color" && pair[1] == "never");
    if never || args.iter().any(|arg| arg == "--color=never") {
        command = command.color(ColorChoice::Never);
    }
    let parsed =
        command.try_get_matches_from(&args).and_then(|found| Cli::from_arg_matches(&found));
    let error = match parsed {
        Ok(cli) => return Ok(Asked::Command(Box::new(cli))),
        Err(error) => error,
    };
    let json = args.iter().take_while(|arg| *arg != "--").any(|arg| arg == "--json");
    let asked = matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion);
    let failure = usage(&error);
    if json && !asked {
        Output::new(&Global { json, ..Global::default() }).error(&failure);
    } else {
        let text = error.to_string();
        let shown = people::without_secrets(&text);
        // A reader that has gone is no error.
        let _ = match shown == text {
            true => error.print(),
            false => std::io::Write::write_all(&mut std::io::stderr(), shown.as_bytes()),
        };
    }
    Err(if asked { 0 } else { failure.exit_code() })
}

/// Adds the arguments of a verb to its command.
type Augment = fn(clap::Command) -> clap::Command;

/// Verbs that people and scripts call again and again.
const QUICK: [(&str, Augment); 10] = [
    ("download", Download::augment_args),
    ("events", Events::augment_args),
    ("info", One::augment_args),
    ("list", List::augment_args),
    ("rename", Rename::augment_args),
    ("restore", Several::augment_args),
    ("rm", Several::augment_args),
    ("status", Status::augment_args),
    ("upload", Upload::augment_args),
    ("view", View::augment_args),
];

/// Understands a plain call of one of these with the words of that verb alone: to build those of all
/// verbs takes longer than most of them do. None where there is more to it, such as help and mistakes:
/// all words are there then.
fn quick(args: &[OsString]) -> Option<Cli> {
    let verb = args.get(1)?.to_str()?;
    let (verb, augment) = QUICK.into_iter().find(|(name, _)| *name == verb)?;
    let mut command = Global::augment_args(clap::Command::new("imgctl"))
        .subcommand(augment(clap::Command::new(verb)));
    let found = command.try_get_matches_from_mut(args).ok()?;
    Cli::from_arg_matches(&found).ok()
}

/// The command of a command line that is not the process's own.
pub(crate) fn command(args: &[String]) -> Result<Command, Failure> {
    let args = std::iter::once("imgctl").chain(args.iter().map(String::as_str));
    Cli::try_parse_from(args).map(|cli| cli.command).map_err(|error| usage(&error))
}

/// What clap found, as one of our errors.
fn usage(error: &clap::Error) -> Failure {
    let text = people::without_secrets(&error.to_string());
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let message = match error.kind() {
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => "a command is missing".to_owned(),
        _ => {
            let said = |line: &&str| {
                !line.starts_with("Usage:") && !line.starts_with("For more information")
            };
            let text = lines.by_ref().take_while(said).collect::<Vec<_>>().join(" ");
            text.strip_prefix("error: ").unwrap_or(&text).to_owned()
        }
    };
    let refusal = Refusal::new(ErrorCode::Usage, message).hint("imgctl --help");
    Failure::new("understand the command line", refusal)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shape_holds_together() {
        Cli::command().debug_assert();
    }

    #[test]
    fn what_is_understood_quickly_is_understood_alike() {
        let lines = [
            "download 7 name:7 -o - --force",
            "download @last --output=here --json",
            "events --follow --since 7 --timeout 1.5",
            "info beach.jpg -v",
            "list",
            "list *.jpg --user ana --limit 3 -l --color never",
            "list --all -q --no-progress -- --odd",
            "rename 7 a.jpg",
            "restore 7 8",
            "rm 7 8 9",
            "status",
            "upload a b --queue --name=x",
            "view",
            "view 7",
        ];
        for line in lines {
            let args: Vec<OsString> =
                std::iter::once("imgctl").chain(line.split(' ')).map(OsString::from).collect();
            let all = Cli::try_parse_from(&args).unwrap();
            let quick = quick(&args).unwrap_or_else(|| panic!("{line}"));
            assert_eq!(format!("{quick:?}"), format!("{all:?}"), "{line}");
        }
        for line in
            ["list --help", "list --limit x", "list --limit 3 --all", "ls", "--json list", "rm"]
        {
            let args: Vec<OsString> =
                std::iter::once("imgctl").chain(line.split(' ')).map(OsString::from).collect();
            assert!(quick(&args).is_none(), "{line}");
        }
        let verbs = Cli::command();
        for (verb, _) in QUICK {
            assert!(verbs.find_subcommand(verb).is_some(), "{verb}");
        }
    }
}
