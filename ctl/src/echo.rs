//! A terminal that does not show what is typed, while a secret is. Put back however the command
//! ends: by its own end, by Ctrl-C, by the end of its time.

use std::sync::Arc;

use crate::cancel::{Cancel, Undo};

/// Keeps the terminal from showing what is typed; dropped, it shows it again.
#[must_use]
pub(crate) struct Silence(Option<Undo>);

impl Silence {
    /// Begins, where standard input is a terminal that can.
    #[cfg(unix)]
    pub(crate) fn begin(cancel: &Arc<Cancel>) -> Self {
        use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};
        let Ok(before) = tcgetattr(std::io::stdin()) else { return Silence(None) };
        let mut silent = before.clone();
        silent.local_modes.remove(LocalModes::ECHO);
        let put_back = move || {
            // A terminal that is gone needs nothing.
            let _ = tcsetattr(std::io::stdin(), OptionalActions::Now, &before);
        };
        // First what undoes it: the end may come between the two.
        let undo = cancel.undo(put_back);
        let _ = tcsetattr(std::io::stdin(), OptionalActions::Now, &silent);
        Silence(Some(undo))
    }

    /// Nothing here turns it off; what is typed is shown.
    #[cfg(not(unix))]
    pub(crate) fn begin(_: &Arc<Cancel>) -> Self {
        Silence(None)
    }
}

impl Drop for Silence {
    fn drop(&mut self) {
        if let Some(undo) = self.0.take() {
            undo.now();
        }
    }
}
