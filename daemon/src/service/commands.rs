//! Programs of the system that are asked: `systemctl`, `loginctl` and their like. Each has a time
//! within which it must answer; tests put their own in their place.

use std::io::{self, Read};
use std::process::{Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// What is read of a program's answer: many times the longest.
const MAX_ANSWER_BYTES: u64 = 256 * 1024;

/// How often a program is looked at. It has a person wait, who does not see 5 ms.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// What runs programs.
pub trait Commands {
    /// Runs one to its end, or for so long.
    ///
    /// # Errors
    /// There is no such program, or it took longer.
    fn run(&self, program: &str, arguments: &[&str], limit: Duration) -> io::Result<Answer>;
}

/// What a program answered.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Answer {
    /// Whether it did what it was asked.
    pub success: bool,
    /// Its standard output.
    pub said: String,
    /// The first line of its standard error.
    pub complaint: String,
}

/// The system's own.
#[derive(Debug, Clone, Copy, Default)]
pub struct System;

impl Commands for System {
    fn run(&self, program: &str, arguments: &[&str], limit: Duration) -> io::Result<Answer> {
        let mut child = Command::new(program)
            .args(arguments)
            // It must not ask for a password, and not answer in another language.
            .env("LC_ALL", "C")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        let said = read(child.stdout.take());
        let complaint = read(child.stderr.take());
        let deadline = Instant::now() + limit;
        let status: ExitStatus = loop {
            if let Some(status) = child.try_wait()? {
                break status;
            }
            if Instant::now() >= deadline {
                // Its readers end with it, or with whoever it left its pipes to: nobody waits.
                child.kill()?;
                child.wait()?;
                let seconds = limit.as_secs();
                let message = format!("`{program}` did not answer within {seconds} s");
                return Err(io::Error::new(io::ErrorKind::TimedOut, message));
            }
            thread::sleep(LOOK_EVERY);
        };
        let text = |reader: thread::JoinHandle<String>| reader.join().unwrap_or_default();
        let (said, complaint) = (text(said), text(complaint));
        let complaint = complaint.lines().next().unwrap_or_default().trim().to_owned();
        Ok(Answer { success: status.success(), said, complaint })
    }
}

fn read(pipe: Option<impl Read + Send + 'static>) -> thread::JoinHandle<String> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut pipe) = pipe {
            // What cannot be read is not there.
            let _ = pipe.by_ref().take(MAX_ANSWER_BYTES).read_to_end(&mut bytes);
            let _ = io::copy(&mut pipe, &mut io::sink());
        }
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use super::*;

    #[test]
    fn a_program_answers_or_its_time_is_over() {
        let run = |script, limit| System.run("sh", &["-c", script], Duration::from_secs(limit));
        let answer = run("echo a; echo b >&2; echo c >&2", 60).unwrap();
        assert_eq!((answer.success, &*answer.said, &*answer.complaint), (true, "a\n", "b"));
        assert!(!run("exit 3", 60).unwrap().success);
        assert_eq!(run("exec sleep 600", 0).unwrap_err().kind(), io::ErrorKind::TimedOut);
        let missing = System.run("/no/such/program", &[], Duration::from_secs(1));
        assert_eq!(missing.unwrap_err().kind(), io::ErrorKind::NotFound);
        assert_eq!(run("head -c 1000000 /dev/zero", 60).unwrap().said.len(), 262_144);
    }
}
