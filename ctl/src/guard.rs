//! What may end the process before its command is done: Ctrl-C, SIGTERM, and the end of the time that
//! was given. One thread waits for them beside the command, which has the first thread for itself: to
//! start another for it costs more than most commands take.
//!
//! The first of them lets a command that can say what it got done do so; a second ends the process at
//! once.

use std::io;
use std::sync::mpsc;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use imgrepo_proto::{ErrorCode, Refusal};

use crate::cancel::Cancel;
use crate::failure::Failure;
use crate::output::Output;

/// How long a command that was told to stop may take to say what it got done.
const GRACE: Duration = Duration::from_secs(2);

/// Stands beside a command until that is done.
pub(crate) struct Guard(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    is_finished: bool,
    /// Why the command was told to stop.
    stopped: Option<Refusal>,
}

impl Guard {
    /// Listens from now on, and waits for this moment.
    pub(crate) fn start(
        deadline: Option<Instant>,
        cancel: &Arc<Cancel>,
        out: &Arc<Output>,
    ) -> io::Result<Guard> {
        let signals = Signals::listen()?;
        let state = Arc::new(Mutex::new(State::default()));
        let watch = Watch {
            signals,
            deadline,
            state: Arc::clone(&state),
            cancel: Arc::clone(cancel),
            out: Arc::clone(out),
        };
        // Not joined: it waits as long as the process lives.
        thread::Builder::new().spawn(move || watch.run())?;
        Ok(Guard(state))
    }

    /// The command is over, with this exit code; that of the process. From here on nothing ends it.
    pub(crate) fn finished(&self, code: u8) -> u8 {
        let mut state = lock(&self.0);
        state.is_finished = true;
        match &state.stopped {
            // It may have been done with everything just then.
            Some(refusal) if code != 0 => refusal.code.exit_code(),
            _ => code,
        }
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Watch {
    signals: Signals,
    deadline: Option<Instant>,
    state: Arc<Mutex<State>>,
    cancel: Arc<Cancel>,
    out: Arc<Output>,
}

impl Watch {
    fn run(mut self) {
        loop {
            let is_signal = self.signals.wait_until(self.deadline);
            // Held to the end of the process where this ends it: a command that is done just now
            // waits here.
            let mut state = lock(&self.state);
            if state.is_finished {
                return;
            }
            if let Some(refusal) = &state.stopped {
                self.end(refusal);
            }
            let refusal = match is_signal {
                true => Refusal::new(ErrorCode::Cancelled, "interrupted"),
                false => {
                    let message = "the time given by `--timeout` is over";
                    Refusal::new(ErrorCode::TimedOut, message)
                }
            };
            if !self.cancel.begin(&refusal) {
                self.end(&refusal);
            }
            state.stopped = Some(refusal);
            self.deadline = Some(Instant::now() + GRACE);
        }
    }

    /// Ends the process although its command is not done.
    #[allow(clippy::exit)] // The command may be stuck for ever.
    fn end(&self, refusal: &Refusal) -> ! {
        let code = last_word(&self.out, refusal);
        self.cancel.clean_up();
        std::process::exit(i32::from(code))
    }
}

/// Says why the command ends before it is done, and gives the exit code. The command may be stuck
/// in a write to a reader that does not read, so this waits for no more than a moment.
fn last_word(out: &Arc<Output>, refusal: &Refusal) -> u8 {
    const MOMENT: Duration = Duration::from_millis(300);
    let (said, heard) = mpsc::channel();
    let (out, failure) = (Arc::clone(out), Failure::new("finish", refusal.clone()));
    // Not joined: the process ends whether or not anybody reads this.
    thread::spawn(move || {
        out.error(&failure);
        let _ = said.send(());
    });
    let _ = heard.recv_timeout(MOMENT);
    refusal.code.exit_code()
}

/// Ctrl-C and SIGTERM, each a byte that can be waited for.
#[cfg(unix)]
struct Signals(std::os::unix::net::UnixStream);

#[cfg(unix)]
impl Signals {
    fn listen() -> io::Result<Signals> {
        use signal_hook::consts::{SIGINT, SIGTERM};
        let (came, comes) = std::os::unix::net::UnixStream::pair()?;
        signal_hook::low_level::pipe::register(SIGINT, comes.try_clone()?)?;
        signal_hook::low_level::pipe::register(SIGTERM, comes)?;
        Ok(Signals(came))
    }

    /// Whether a signal came, and not the moment.
    fn wait_until(&mut self, deadline: Option<Instant>) -> bool {
        use std::io::Read as _;
        loop {
            let left = deadline.map(|at| at.saturating_duration_since(Instant::now()));
            if left.is_some_and(|left| left.is_zero()) {
                return false;
            }
            // One that cannot be waited for so is over at once: no time is better than no end.
            if left.is_some() && self.0.set_read_timeout(left).is_err() {
                return false;
            }
            if matches!(self.0.read(&mut [0]), Ok(1..)) {
                return true;
            }
        }
    }
}

/// Elsewhere Ctrl-C ends the process as the system does it.
#[cfg(not(unix))]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    fn listen() -> io::Result<Signals> {
        Ok(Signals)
    }

    fn wait_until(&mut self, deadline: Option<Instant>) -> bool {
        match deadline {
            Some(at) => thread::sleep(at.saturating_duration_since(Instant::now())),
            None => loop {
                thread::park();
            },
        }
        false
    }
}
