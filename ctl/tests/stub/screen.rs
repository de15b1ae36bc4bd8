//! A terminal on which a command runs, and what stands there.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::process::{Child, Command};

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::LocalModes;

/// Runs a command on a terminal of 100 columns on which `typed` is typed; gives what stands there
/// at its end, and the exit code.
pub(crate) fn on_terminal(command: Command, typed: &str) -> (String, i32) {
    // What is typed is not shown: it would stand wherever it came just then.
    let (mut child, mut terminal) = begin(command, false);
    terminal.write_all(typed.as_bytes()).unwrap();
    let said = rest(&mut terminal);
    (said, child.wait().unwrap().code().unwrap())
}

/// Begins a command on a terminal that shows what is typed, or does not.
pub(crate) fn begin(mut command: Command, echo: bool) -> (Child, File) {
    let terminal = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&terminal).unwrap();
    unlockpt(&terminal).unwrap();
    let size = rustix::termios::Winsize { ws_row: 40, ws_col: 100, ws_xpixel: 0, ws_ypixel: 0 };
    rustix::termios::tcsetwinsize(&terminal, size).unwrap();
    let mut modes = rustix::termios::tcgetattr(&terminal).unwrap();
    modes.local_modes.set(LocalModes::ECHO, echo);
    rustix::termios::tcsetattr(&terminal, rustix::termios::OptionalActions::Now, &modes).unwrap();
    let name = ptsname(&terminal, Vec::new()).unwrap();
    let end = || File::options().read(true).write(true).open(name.to_str().unwrap()).unwrap();
    command.env("TERM", "xterm").stdin(end()).stdout(end()).stderr(end());
    let child = command.spawn().unwrap();
    // Its own ends of the terminal go with the command, so that the terminal ends with the child.
    (child, File::from(terminal))
}

/// What stands on a terminal until its end.
pub(crate) fn rest(terminal: &mut File) -> String {
    let mut said = Vec::new();
    let mut piece = [0; 4096];
    // At the end of the other side a terminal gives EIO.
    while let Ok(count @ 1..) = terminal.read(&mut piece) {
        said.extend_from_slice(&piece[..count]);
    }
    String::from_utf8(said).unwrap().replace("\r\n", "\n")
}
