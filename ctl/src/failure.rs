//! Why a command did not do what it was asked, and the exit code of that.

use imgrepo_proto::{ErrorCode, Refusal};

/// The end of a command that did not do all it was asked.
#[derive(Debug)]
pub(crate) enum Failure {
    /// It was not carried out.
    Refused {
        /// What was tried, such as ``delete `7` ``: used where the message does not say it.
        act: String,
        /// Why not.
        refusal: Refusal,
    },
    /// Whoever read the output has gone: no error.
    ClosedPipe,
    /// All was said already; this is the exit code.
    Said(u8),
}

impl Failure {
    /// What was tried and why it was not done.
    pub(crate) fn new(act: impl Into<String>, refusal: Refusal) -> Self {
        Failure::Refused { act: act.into(), refusal }
    }

    /// A command line that makes no sense.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Failure::new("understand the command line", Refusal::new(ErrorCode::Usage, message))
    }

    /// The exit code of the process.
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Failure::Refused { refusal, .. } => refusal.code.exit_code(),
            Failure::ClosedPipe => 0,
            Failure::Said(code) => *code,
        }
    }
}

/// The exit code of a command over several objects: 0 when none failed, the cause's where all
/// failed for one cause, and 6 where only some failed or they did for several causes.
pub(crate) fn exit_code_of(done: usize, failed: &[ErrorCode]) -> u8 {
    /// Some of several failed.
    const SOME: u8 = 6;
    match failed {
        [] => 0,
        [first, rest @ ..] if done == 0 && rest.iter().all(|code| code == first) => {
            first.exit_code()
        }
        _ => SOME,
    }
}

/// A refusal as a sentence: the daemon's own where it says what could not be done.
pub(crate) fn sentence(act: &str, refusal: &Refusal) -> String {
    match refusal.message.starts_with("cannot ") {
        true => refusal.message.clone(),
        false => format!("cannot {act}: {}", refusal.message),
    }
}

/// The refusal of something on this side's disk.
pub(crate) fn file_error(act: &str, path: &std::path::Path, error: &std::io::Error) -> Refusal {
    Refusal::new(
        ErrorCode::FileError,
        format!("cannot {act} `{}`: {}", path.display(), cause(error)),
    )
}

/// The system's words, in lower case and without the number.
pub(crate) fn cause(error: &std::io::Error) -> String {
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or_default();
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_lowercase().chain(chars).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_that_fail_for_one_cause_have_its_code() {
        use ErrorCode::{Denied, NotFound};
        assert_eq!(exit_code_of(0, &[]), 0);
        assert_eq!(exit_code_of(3, &[]), 0);
        assert_eq!(exit_code_of(0, &[NotFound, NotFound]), 5);
        assert_eq!(exit_code_of(0, &[NotFound, Denied]), 6);
        assert_eq!(exit_code_of(1, &[NotFound]), 6);
    }

    #[test]
    fn a_message_that_says_the_act_is_not_wrapped() {
        let refusal = |message| Refusal::new(ErrorCode::NotFound, message);
        assert_eq!(
            sentence("delete `7`", &refusal("cannot delete `7`: gone")),
            "cannot delete `7`: gone"
        );
        assert_eq!(
            sentence("delete `7`", &refusal("no image is 7")),
            "cannot delete `7`: no image is 7"
        );
    }
}
