//! Everything that `imgctl` says: data to standard output, all else to standard error.
//!
//! Text from elsewhere is escaped here or by [`imgrepo_proto::name::shown`], so that no name acts on
//! a terminal. With `--json` standard output carries JSON documents alone: one a command, or one a
//! line for those that follow.

use std::io::{self, BufWriter, IsTerminal as _, Stdout, Write};
use std::sync::{Mutex, MutexGuard, PoisonError};

use imgrepo_proto::Refusal;
use imgrepo_proto::name::is_unsafe_to_show;
use indicatif::ProgressBar;
use serde::Serialize;

use crate::cli::{Color, Global};
use crate::failure::{Failure, sentence};

/// The version of the documents.
pub(crate) const DOCUMENTS: u32 = 1;

/// The act that fails where standard output takes nothing.
const WRITE: &str = "write";

/// Where output goes, and how.
pub(crate) struct Output {
    json: bool,
    quiet: bool,
    verbose: bool,
    colors: (bool, bool),
    terminal: bool,
    state: Mutex<State>,
}

struct State {
    stdout: BufWriter<Stdout>,
    /// The command's document is there: a second one would make it unreadable.
    documented: bool,
    /// The bar that must stand aside while a line is written.
    bar: Option<ProgressBar>,
}

/// A style of the terminal, by its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Style {
    /// Headings.
    Bold,
    /// What matters less.
    Dim,
    /// Done.
    Green,
    /// Passed over.
    Yellow,
    /// Failed.
    Red,
}

impl Output {
    /// By the global flags.
    pub(crate) fn new(global: &Global) -> Self {
        let colors = |terminal: bool| match global.color {
            Color::Always => true,
            Color::Never => false,
            Color::Auto => {
                terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
            }
        };
        let terminal = io::stdout().is_terminal();
        Output {
            json: global.json,
            quiet: global.quiet,
            verbose: global.verbose,
            colors: (colors(terminal), colors(io::stderr().is_terminal())),
            terminal,
            state: Mutex::new(State {
                stdout: BufWriter::new(io::stdout()),
                documented: false,
                bar: None,
            }),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether documents are asked for.
    pub(crate) fn json(&self) -> bool {
        self.json
    }

    /// Whether people look at standard output.
    pub(crate) fn terminal(&self) -> bool {
        self.terminal
    }

    /// Keeps this bar out of the way of lines.
    pub(crate) fn set_bar(&self, bar: Option<ProgressBar>) {
        self.state().bar = bar;
    }

    /// A text for standard output, in a style where colours are used.
    pub(crate) fn styled(&self, style: Style, text: &str) -> String {
        paint(self.colors.0, style, text)
    }

    /// A text for standard output, white on black whatever the terminal's own colours are.
    pub(crate) fn light_on_dark(&self, text: &str) -> String {
        // The 256 colours: what a terminal calls white among its 16 is often a grey.
        match self.colors.0 {
            true => format!("\x1b[38;5;231;48;5;16m{text}\x1b[0m"),
            false => text.to_owned(),
        }
    }

    /// A line of data.
    pub(crate) fn line(&self, line: &str) -> Result<(), Failure> {
        self.write(|out| writeln!(out, "{line}"))
    }

    /// A line that confirms what was done: not with `--quiet`, and not beside documents.
    pub(crate) fn confirm(&self, line: &str) {
        if !self.quiet && !self.json {
            // Who reads it may go: what is being done matters more than to say it.
            let _ = self.line(line);
        }
    }

    /// Raw data, such as an image's content.
    pub(crate) fn bytes(&self, bytes: &[u8]) -> Result<(), Failure> {
        self.write(|out| out.write_all(bytes))
    }

    /// The command's document: `{"v":1,...}` and the members of `value`.
    pub(crate) fn document<T: Serialize>(&self, value: &T) -> Result<(), Failure> {
        let mut state = self.state();
        if std::mem::replace(&mut state.documented, true) {
            return Ok(());
        }
        let written = writeln!(state.stdout, "{}", document(value));
        finish(written.and_then(|()| state.stdout.flush()))
    }

    /// One document of many, a line each.
    pub(crate) fn document_line<T: Serialize>(&self, value: &T) -> Result<(), Failure> {
        self.write(|out| writeln!(out, "{}", document(value)))
    }

    /// A part of a document that is too long to be made whole.
    pub(crate) fn document_part(&self, text: &str) -> Result<(), Failure> {
        let mut state = self.state();
        state.documented = true;
        finish(state.stdout.write_all(text.as_bytes()))
    }

    /// Hands on what is held back.
    pub(crate) fn flush(&self) -> Result<(), Failure> {
        finish(self.state().stdout.flush())
    }

    /// A word to people beside the data: not with `--quiet`.
    pub(crate) fn note(&self, line: &str) {
        if !self.quiet {
            self.say(line);
        }
    }

    /// The end of a command that did not do all it was asked.
    pub(crate) fn error(&self, failure: &Failure) {
        if let Failure::Refused { act, refusal } = failure {
            // That documents cannot be written has no place in a document.
            if !self.json || act == WRITE {
                self.complain(act, refusal);
            } else {
                let _ = self.document(&ErrorDocument { error: refusal.into() });
            }
        }
        let _ = self.flush();
    }

    /// Says what could not be done, and what to do about it.
    pub(crate) fn complain(&self, act: &str, refusal: &Refusal) {
        let sentence = imgrepo_proto::name::shown(&sentence(act, refusal));
        let code = match self.verbose {
            true => format!(" ({})", code_word(refusal)),
            false => String::new(),
        };
        let program = paint(self.colors.1, Style::Red, "imgctl:");
        let mut text = format!("{program} {sentence}{code}");
        if let Some(hint) = &refusal.hint {
            let word = paint(self.colors.1, Style::Bold, "hint:");
            text += &format!("\n{word} {}", imgrepo_proto::name::shown(hint));
        }
        self.say(&text);
    }

    fn say(&self, text: &str) {
        let mut state = self.state();
        // In the order in which it was said, where both go to one terminal.
        let _ = state.stdout.flush();
        let write = || drop(writeln!(io::stderr(), "{text}"));
        match &state.bar {
            Some(bar) => bar.suspend(write),
            None => write(),
        }
    }

    fn write(
        &self,
        write: impl FnOnce(&mut BufWriter<Stdout>) -> io::Result<()>,
    ) -> Result<(), Failure> {
        let mut state = self.state();
        let State { stdout, bar, .. } = &mut *state;
        finish(match bar {
            Some(bar) => bar.suspend(|| write(stdout).and_then(|()| stdout.flush())),
            None if self.terminal => write(stdout).and_then(|()| stdout.flush()),
            None => write(stdout),
        })
    }
}

fn finish(written: io::Result<()>) -> Result<(), Failure> {
    written.map_err(|error| match error.kind() {
        io::ErrorKind::BrokenPipe => Failure::ClosedPipe,
        _ => {
            let refusal = Refusal::new(
                imgrepo_proto::ErrorCode::FileError,
                format!("cannot write to standard output: {}", crate::failure::cause(&error)),
            );
            Failure::new(WRITE, refusal)
        }
    })
}

fn paint(colors: bool, style: Style, text: &str) -> String {
    let number = match style {
        Style::Bold => 1,
        Style::Dim => 2,
        Style::Red => 31,
        Style::Green => 32,
        Style::Yellow => 33,
    };
    match colors {
        true => format!("\x1b[{number}m{text}\x1b[0m"),
        false => text.to_owned(),
    }
}

#[derive(Serialize)]
struct ErrorDocument {
    error: Problem,
}

/// An error in a document: its hint is null where nothing can be done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Problem {
    code: imgrepo_proto::ErrorCode,
    message: String,
    hint: Option<String>,
}

impl From<&Refusal> for Problem {
    fn from(refusal: &Refusal) -> Self {
        Problem { code: refusal.code, message: refusal.message.clone(), hint: refusal.hint.clone() }
    }
}

/// The word of a code, as in documents.
fn code_word(refusal: &Refusal) -> String {
    json(&refusal.code).trim_matches('"').to_owned()
}

fn document<T: Serialize>(value: &T) -> String {
    #[derive(Serialize)]
    struct Document<'a, T> {
        v: u32,
        #[serde(flatten)]
        value: &'a T,
    }
    json(&Document { v: DOCUMENTS, value })
}

/// The JSON of a value, with every character escaped that could act on a terminal.
pub(crate) fn json<T: Serialize>(value: &T) -> String {
    let mut bytes = Vec::new();
    let mut serializer = serde_json::Serializer::with_formatter(&mut bytes, Escaping);
    match value.serialize(&mut serializer) {
        Ok(()) => String::from_utf8(bytes).unwrap_or_default(),
        // Our documents have string keys and no fallible parts; a path that is not UTF-8 is shown
        // lossily before it gets here.
        Err(_) => String::new(),
    }
}

/// Compact JSON that is safe to show.
struct Escaping;

impl serde_json::ser::Formatter for Escaping {
    fn write_string_fragment<W: ?Sized + Write>(
        &mut self,
        to: &mut W,
        text: &str,
    ) -> io::Result<()> {
        let mut plain = 0;
        for (at, c) in text.char_indices().filter(|(_, c)| is_unsafe_to_show(*c)) {
            to.write_all(&text.as_bytes()[plain..at])?;
            // All of them lie in the basic plane: one escape each.
            write!(to, "\\u{:04x}", u32::from(c))?;
            plain = at + c.len_utf8();
        }
        to.write_all(&text.as_bytes()[plain..])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_has_nothing_that_acts_on_a_terminal_and_means_the_same() {
        let name = "a\x1b[31m\u{7f}\u{9b}\u{202e}gpj.\"写\"\u{2028}z";
        let text = json(&name);
        assert_eq!(text, "\"a\\u001b[31m\\u007f\\u009b\\u202egpj.\\\"写\\\"\\u2028z\"");
        assert_eq!(serde_json::from_str::<String>(&text).unwrap(), name);
    }

    #[test]
    fn an_error_without_a_hint_says_null() {
        let refusal = Refusal::new(imgrepo_proto::ErrorCode::NotFound, "no image is named `a`");
        assert_eq!(
            document(&ErrorDocument { error: (&refusal).into() }),
            r#"{"v":1,"error":{"code":"not_found","message":"no image is named `a`","hint":null}}"#
        );
    }
}
