//! What happened in a simulation, line by line. The same seed gives the same lines: they are what a
//! failure is looked into with, and what two runs are compared by.

use std::fmt::Display;
use std::io;
use std::sync::{Arc, Mutex};

/// The lines so far, and the first thing that was wrong. All clones are one.
#[derive(Debug, Clone, Default)]
pub(crate) struct Trace(Arc<Mutex<Told>>);

#[derive(Debug, Default)]
struct Told {
    now_ms: u64,
    lines: Vec<String>,
    fault: Option<String>,
    /// The daemon may note errors: its disk fails.
    forgives_errors: bool,
}

impl Trace {
    pub(crate) fn at(&self, now_ms: u64) {
        self.0.lock().unwrap().now_ms = now_ms;
    }

    pub(crate) fn now_ms(&self) -> u64 {
        self.0.lock().unwrap().now_ms
    }

    pub(crate) fn say(&self, line: impl Display) {
        let mut told = self.0.lock().unwrap();
        let line = format!("{:>8} {line}", told.now_ms);
        told.lines.push(line);
    }

    /// Something is not as it must be. The first one counts: the rest follows from it.
    pub(crate) fn fault(&self, what: impl Display) {
        self.say(format_args!("FAULT {what}"));
        self.0.lock().unwrap().fault.get_or_insert_with(|| what.to_string());
    }

    pub(crate) fn found(&self) -> Option<String> {
        self.0.lock().unwrap().fault.clone()
    }

    /// The daemon may note errors from here on.
    pub(crate) fn forgive_errors(&self) {
        self.0.lock().unwrap().forgives_errors = true;
    }

    pub(crate) fn lines(&self) -> Vec<String> {
        self.0.lock().unwrap().lines.clone()
    }
}

/// Takes the lines of the daemon's own journal.
impl io::Write for Trace {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(line);
        let text = text.trim();
        match text.starts_with("ERROR") && !self.0.lock().unwrap().forgives_errors {
            true => self.fault(text),
            false => self.say(text),
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
