//! What a person has the service do. Each step that was taken is said, and doing it again is fine.

use std::fs::{File, TryLockError};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use imgrepo_proto::{ErrorCode, Refusal};

use super::file::{self, Found};
use super::manager::{Look, Manager};
use super::start::Start;
use super::{Service, Steps, absent, background, by_hand, owners};

/// How long a daemon may take until it answers: a server looks through what an unclean end left.
const READY: Duration = Duration::from_secs(60);

/// How often it is asked. A person waits.
const ASK_EVERY: Duration = Duration::from_millis(50);

impl Service {
    /// Has this be started at every login, and starts it now. Doing it again changes nothing.
    ///
    /// # Errors
    /// Something else starts the daemon, a file is in the way, or it cannot be started.
    pub fn install(&self, start: &Start, linger: bool) -> Result<Steps, Refusal> {
        let _one = self.one_at_a_time()?;
        let manager = self.manager();
        let file = self.file(&*manager)?;
        let unit = self.system().file();
        if let Some(owner) = owners::owners(&self.login, unit.as_deref()).first() {
            let message = format!("cannot install the service: {}", owner.message());
            return Err(Refusal::new(ErrorCode::Conflict, message)
                .hint(format!("keep that, or first {}", owner.remove)));
        }
        if self.in_background {
            self.may_be_in_background(&*manager, &file)?;
        } else if let Found::Another(refusal) = self.found_in_background()? {
            return Err(refusal);
        }
        let text = manager.write(start)?;
        let shown = file.display();
        let mut steps = Steps::new();
        let mut is_first = false;
        let changed = match self.found(&*manager, &file)? {
            Found::Another(refusal) | Found::Elsewhere(refusal) => return Err(refusal),
            Found::Ours { text: before, .. } if before == text => {
                steps.push(format!("`{shown}` is there already and says the same"));
                false
            }
            Found::Ours { start: before, .. } => {
                file::write(&file, &text)?;
                steps.push(format!("rewrote `{shown}`"));
                if before != *start {
                    steps.push(format!("it started `{}`", before.command()));
                }
                true
            }
            Found::Nothing => {
                file::write(&file, &text)?;
                steps.push(format!("wrote `{shown}`"));
                is_first = true;
                true
            }
        };
        let when = if self.in_background { "in the background" } else { "at login" };
        steps.push(format!("{when} starts `{}`", start.command()));
        manager.enable(&file)?;
        if !self.in_background {
            // From now on it is the manager's.
            file::remove(&background::file_in(&self.state))?;
        }
        match manager.look() {
            // The problems of the status tell it, with what to do.
            Look::Absent(_) => {}
            look => {
                if changed || look == Look::Unknown {
                    manager.reload()?;
                }
                // Beside a daemon that was started by hand none can run: the status tells it too.
                if look == Look::Running || !self.is_there() {
                    let again = changed && look == Look::Running;
                    self.run_now(&*manager, again, &mut steps).inspect_err(|_| {
                        // What never ran stands in the way of nothing that is tried next. A unit
                        // stays: its manager tries again, and tells why not.
                        if self.in_background && is_first && !self.is_there() {
                            let _ = file::remove(&file);
                        }
                    })?;
                }
            }
        }
        match (manager.lingering(), linger) {
            (Some(true), _) => steps.push("it runs without a login too (lingering)".to_owned()),
            (_, true) => {
                manager.linger()?;
                steps.push("from now on it runs without a login too (lingering)".to_owned());
            }
            (Some(false), false) => steps.push(
                "it ends with your last logout; `imgrepod service install --linger` has it go on"
                    .to_owned(),
            ),
            (None, false) => {}
        }
        Ok(steps)
    }

    /// Whether this may start it without a manager: it would be in the way of what starts it, or
    /// take the place of a daemon that somebody else started.
    fn may_be_in_background(&self, manager: &dyn Manager, file: &Path) -> Result<(), Refusal> {
        let system = self.system();
        let unit = system.file().map(|unit| self.found(&*system, &unit)).transpose()?;
        if let Some(Found::Another(refusal)) = unit {
            return Err(refusal);
        }
        if matches!(self.found(manager, file)?, Found::Nothing) && self.is_there() {
            return Err(by_hand());
        }
        Ok(())
    }

    /// In the background nobody but this orders what is done at once: two that start it, or one that
    /// takes back what another is starting. None where a manager does.
    fn one_at_a_time(&self) -> Result<Option<File>, Refusal> {
        if !self.in_background {
            return Ok(None);
        }
        let mut builder = std::fs::DirBuilder::new();
        builder.recursive(true);
        // As the daemon makes it.
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        let path = self.state.join("background.lock");
        let failed = |error: &dyn std::fmt::Display| {
            let shown = path.display();
            Refusal::new(ErrorCode::FileError, format!("cannot lock `{shown}`: {error}"))
        };
        let file = builder.create(&self.state).and_then(|()| File::create(&path));
        let file = file.map_err(|error| failed(&error))?;
        // One before this one waits for a daemon no longer than that.
        let deadline = Instant::now() + 2 * READY;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(Some(file)),
                Err(TryLockError::WouldBlock) if Instant::now() < deadline => {
                    thread::sleep(ASK_EVERY);
                }
                Err(error) => return Err(failed(&error)),
            }
        }
    }

    /// Stops the service and takes away what `install` made. Where nothing is, nothing is done.
    ///
    /// # Errors
    /// The file is another's, or it cannot be stopped.
    pub fn uninstall(&self) -> Result<Steps, Refusal> {
        let _one = self.one_at_a_time()?;
        let manager = self.manager();
        let file = self.file(&*manager)?;
        match self.found(&*manager, &file)? {
            Found::Nothing => return Ok(vec!["no service is installed".to_owned()]),
            Found::Another(refusal) | Found::Elsewhere(refusal) => return Err(refusal),
            Found::Ours { .. } => {}
        }
        let look = manager.look();
        let mut steps = Steps::new();
        if matches!(look, Look::Running | Look::Failed) {
            manager.stop()?;
            steps.push("stopped the daemon".to_owned());
        }
        manager.disable(&file)?;
        file::remove(&file)?;
        steps.push(format!("removed `{}`", file.display()));
        if !matches!(look, Look::Absent(_)) {
            manager.reload()?;
        }
        if manager.lingering() == Some(true) {
            steps.push("lingering stays on: `loginctl disable-linger` ends it".to_owned());
        }
        Ok(steps)
    }

    /// Starts the installed service, and waits until the daemon answers.
    ///
    /// # Errors
    /// `not_found` where none is installed, `conflict` where a daemon runs beside it, or why it
    /// does not start.
    pub fn start(&self) -> Result<Steps, Refusal> {
        let _one = self.one_at_a_time()?;
        let manager = self.manager();
        self.installed(&*manager)?;
        let mut steps = Steps::new();
        self.run_now(&*manager, false, &mut steps)?;
        Ok(steps)
    }

    /// Stops it until the next login, or the next start.
    ///
    /// # Errors
    /// `not_found` where none is installed, `conflict` where a daemon runs beside it, or why it
    /// does not stop.
    pub fn stop(&self) -> Result<Steps, Refusal> {
        let _one = self.one_at_a_time()?;
        let manager = self.manager();
        let start = self.installed(&*manager)?;
        match manager.look() {
            Look::Absent(why) => Err(absent(&*manager, &why, &start)),
            Look::Stopped | Look::Unknown if self.is_there() => Err(by_hand()),
            Look::Stopped | Look::Unknown => Ok(vec!["it is not running".to_owned()]),
            Look::Running | Look::Failed => {
                manager.stop()?;
                Ok(vec!["stopped the daemon".to_owned()])
            }
        }
    }

    /// Stops it if it runs, and starts it.
    ///
    /// # Errors
    /// As [`Service::start`].
    pub fn restart(&self) -> Result<Steps, Refusal> {
        let _one = self.one_at_a_time()?;
        let manager = self.manager();
        self.installed(&*manager)?;
        let mut steps = Steps::new();
        self.run_now(&*manager, true, &mut steps)?;
        Ok(steps)
    }

    /// Has the service run: anew where `again` says so.
    fn run_now(
        &self,
        manager: &dyn Manager,
        again: bool,
        steps: &mut Steps,
    ) -> Result<(), Refusal> {
        match manager.look() {
            Look::Absent(why) => {
                let start = self.installed(manager)?;
                return Err(absent(manager, &why, &start));
            }
            Look::Running if !again => {
                self.ready(manager)?;
                steps.push("it is running".to_owned());
                return Ok(());
            }
            Look::Running => manager.stop()?,
            Look::Stopped | Look::Unknown | Look::Failed if self.is_there() => {
                return Err(by_hand());
            }
            Look::Unknown => manager.reload()?,
            Look::Stopped | Look::Failed => {}
        }
        manager.start()?;
        self.ready(manager)?;
        steps.push(if again { "restarted the daemon" } else { "started the daemon" }.to_owned());
        Ok(())
    }

    /// Waits until the daemon that was started answers.
    fn ready(&self, manager: &dyn Manager) -> Result<(), Refusal> {
        let deadline = Instant::now() + READY;
        loop {
            if self.answers() {
                return Ok(());
            }
            if matches!(manager.look(), Look::Failed | Look::Stopped) {
                let message = "the daemon ended as soon as it was started";
                return Err(Refusal::new(ErrorCode::Internal, message).hint(manager.log_hint()));
            }
            if Instant::now() >= deadline {
                let seconds = READY.as_secs();
                let message = format!("the daemon was started, but is not ready after {seconds} s");
                return Err(Refusal::new(ErrorCode::TimedOut, message).hint(manager.log_hint()));
            }
            thread::sleep(ASK_EVERY);
        }
    }
}
