//! The child: reads an order, gives up all that it does not need, makes the pictures, answers, ends.
//!
//! It is `imgrepod` itself, started with [`COMMAND`] by the parent's half in this room and by nobody
//! else; its main calls [`work`] before anything. It says nothing but its answer, and trusts
//! nothing of the content: that it may be taken over is what it is there for.

use std::io::{self, Read, Write as _};
use std::process::ExitCode;

use super::confine::confine;
use crate::repository::picture::message::{Answer, Confinement, Fault, Head};
use crate::repository::picture::render::draw;

/// The argument that makes `imgrepod` such a child. Not for people: no help names it.
pub const COMMAND: &str = "draw-one-picture";

/// Does one order, from stdin to stdout. Nothing may have been started in this process before: it
/// has to have one thread.
pub fn work() -> ExitCode {
    // A decoder's panic is an answer of its own; nobody reads stderr.
    std::panic::set_hook(Box::new(|_| {}));
    match answer() {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

fn answer() -> io::Result<()> {
    let mut input = io::stdin().lock();
    // The parent's word, not the content's.
    let head = Head::read(&mut input)?;
    #[cfg(unix)]
    hold_back(head.is_background);
    let (confinement, outcome) = match confine() {
        Ok(confinement) => (confinement, draw(&head, &mut input)),
        Err(_) => (Confinement { files: false, calls: false }, Err(Fault::Passing)),
    };
    // What a decoder did not need. The parent writes it before it reads.
    let mut rest = [0; 16 * 1024];
    while input.read(&mut rest)? > 0 {}
    let mut output = io::stdout().lock();
    Answer { confinement, outcome }.write(&mut output)?;
    output.flush()
}

/// Ends with the parent, shows its memory to nobody, and gives way to what is waited for.
#[cfg(unix)]
fn hold_back(is_background: bool) {
    #[cfg(target_os = "linux")]
    {
        use rustix::process::{
            DumpableBehavior, Signal, set_dumpable_behavior, set_parent_process_death_signal,
        };
        // Where it fails the end of stdin says the same, a little later.
        let _ = set_parent_process_death_signal(Some(Signal::KILL));
        let _ = set_dumpable_behavior(DumpableBehavior::NotDumpable);
    }
    if is_background {
        // The least that there is. SCHED_IDLE is less still, but no safe call sets it.
        let _ = rustix::process::setpriority_process(None, 19);
    }
}
