//! Whether the server is reached.

use imgrepo_proto::control::finding::Finding;
use imgrepo_proto::control::reply::{SessionState, SessionStatus};

const CHECK: &str = "server";

pub(super) fn finding(session: &SessionStatus) -> Finding {
    let url = session.url.as_deref();
    let shown = url.unwrap_or("the repository of this daemon");
    let why = session.error.as_ref();
    let told = || why.map(|why| why.message.clone());
    let hint = || why.and_then(|why| why.hint.clone());
    match session.state {
        SessionState::Connected => match &session.notice {
            Some(notice) => {
                Finding::warning(CHECK, format!("connected to {shown}; {notice}"), None)
            }
            None => Finding::ok(CHECK, format!("connected to {shown} as {}", session.user)),
        },
        SessionState::Offline => {
            let (message, hint) = match url {
                None => ("no server was ever named".to_owned(), "imgctl connect HOST".to_owned()),
                Some(url) => {
                    (format!("offline by choice; it was {url}"), format!("imgctl connect {url}"))
                }
            };
            Finding::warning(CHECK, message, Some(hint))
        }
        SessionState::Connecting => Finding::warning(
            CHECK,
            told().unwrap_or_else(|| format!("connecting to {shown}")),
            hint(),
        ),
        SessionState::Waiting => {
            let hint = hint().unwrap_or_else(|| {
                "see whether the server runs and this computer reaches it; it is tried again by itself"
                    .to_owned()
            });
            let message = told().unwrap_or_else(|| format!("cannot reach {shown}"));
            Finding::problem(CHECK, message, Some(hint))
        }
        SessionState::Refused => {
            let hint =
                hint().unwrap_or_else(|| format!("when that is mended: imgctl connect {shown}"));
            let message = told().unwrap_or_else(|| format!("{shown} refused the session"));
            Finding::problem(CHECK, message, Some(hint))
        }
    }
}

#[cfg(test)]
mod tests {
    use imgrepo_proto::control::finding::FindingState;
    use imgrepo_proto::{ErrorCode, Refusal};

    use super::*;

    fn session(state: SessionState) -> SessionStatus {
        let (url, since) = (Some("ws://h:8765/".to_owned()), jiff::Timestamp::UNIX_EPOCH);
        SessionStatus::new(state, url, "ana".to_owned(), since)
    }

    #[test]
    fn what_is_not_connected_says_why_and_what_to_do() {
        let told = finding(&session(SessionState::Connected));
        assert_eq!(
            (told.state, &*told.message),
            (FindingState::Ok, "connected to ws://h:8765/ as ana")
        );
        let old = SessionStatus {
            notice: Some("an image may be stored twice".to_owned()),
            ..session(SessionState::Connected)
        };
        assert_eq!(finding(&old).state, FindingState::Warning);
        let never = SessionStatus { url: None, ..session(SessionState::Offline) };
        assert_eq!(finding(&never).hint.as_deref(), Some("imgctl connect HOST"));
        let error = Refusal::new(ErrorCode::NotConnected, "cannot connect to `ws://h:8765/`");
        let waiting = SessionStatus { error: Some(error), ..session(SessionState::Waiting) };
        let told = finding(&waiting);
        assert_eq!(told.state, FindingState::Problem);
        assert_eq!(told.message, "cannot connect to `ws://h:8765/`");
        for state in [SessionState::Waiting, SessionState::Refused, SessionState::Offline] {
            assert!(finding(&session(state)).hint.is_some());
        }
    }
}
