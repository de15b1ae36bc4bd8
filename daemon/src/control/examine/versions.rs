//! Which versions meet, and whether the program on disk is still the one that runs.

use imgrepo_proto::control::finding::Finding;
use imgrepo_proto::control::reply::SessionStatus;

const CHECK: &str = "versions";

/// Whether the program that runs was replaced or removed since it started.
pub(super) fn replaced() -> bool {
    // Linux says ` (deleted)` behind the path of one that is no longer there.
    std::env::current_exe().is_ok_and(|program| !program.exists())
}

pub(super) fn finding(daemon: &str, session: &SessionStatus, replaced: bool) -> Finding {
    let dialect = session.dialect.as_deref();
    let server = match (&session.server, dialect) {
        (Some(server), _) => {
            format!(", server {} {} ({})", server.name, server.version, dialect.unwrap_or("v2"))
        }
        (None, Some(dialect)) => format!(", an old server ({dialect})"),
        (None, None) => String::new(),
    };
    let message = format!("daemon {daemon}{server}");
    if replaced {
        let message = format!("{message}; the program was replaced since the daemon started");
        let hint = "restart it: imgrepod service restart (or imgctl stop, then imgrepod)";
        return Finding::warning(CHECK, message, Some(hint.to_owned()));
    }
    Finding::ok(CHECK, message)
}

#[cfg(test)]
mod tests {
    use imgrepo_proto::control::finding::FindingState;
    use imgrepo_proto::control::reply::SessionState;
    use imgrepo_proto::session::command::Program;

    use super::*;

    #[test]
    fn every_version_is_named_and_an_old_program_is_told() {
        let server = Program { name: "imgrepod".to_owned(), version: "9.9.9".to_owned() };
        let since = jiff::Timestamp::UNIX_EPOCH;
        let session = SessionStatus {
            dialect: Some("v2".to_owned()),
            server: Some(server),
            ..SessionStatus::new(SessionState::Connected, None, "ana".to_owned(), since)
        };
        assert_eq!(
            finding("1.2.3", &session, false).message,
            "daemon 1.2.3, server imgrepod 9.9.9 (v2)"
        );
        let old = SessionStatus { server: None, dialect: Some("v1".to_owned()), ..session };
        let told = finding("1.2.3", &old, true);
        assert!(told.message.starts_with("daemon 1.2.3, an old server (v1); "), "{}", told.message);
        assert_eq!(told.state, FindingState::Warning);
        assert!(!replaced());
    }
}
