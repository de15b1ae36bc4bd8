//! Whether the clock can be trusted: images bear its times, and what is kept for days goes by it.

use imgrepo_proto::control::finding::Finding;
use jiff::Timestamp;

const CHECK: &str = "clock";

/// What nobody notices in a list of images, and no computer that asks a time server is off.
const TOLERATED_SECONDS: i64 = 5 * 60;

/// The clock, and what it is compared with.
pub(super) struct Clock {
    /// Now, by it.
    pub(super) now: Timestamp,
    /// What happened before now, by it.
    pub(super) before: Vec<(&'static str, Timestamp)>,
    /// Now, by the server's.
    pub(super) server: Option<Timestamp>,
}

pub(super) fn finding(clock: &Clock) -> Finding {
    let hint = || Some("set it: sudo timedatectl set-ntp true".to_owned());
    let seconds = |other: Timestamp| clock.now.as_second().saturating_sub(other.as_second());
    if let Some((what, at)) = clock.before.iter().find(|(_, at)| seconds(*at) < -TOLERATED_SECONDS)
    {
        let message = format!("it was set back: {what} at {at:.0}, and now it is {:.0}", clock.now);
        return Finding::warning(CHECK, message, hint());
    }
    match clock.server.map(seconds) {
        Some(off) if off.abs() > TOLERATED_SECONDS => {
            let way = if off > 0 { "ahead of" } else { "behind" };
            let minutes = off.unsigned_abs() / 60;
            Finding::warning(CHECK, format!("it is {minutes} min {way} the server's"), hint())
        }
        Some(_) => Finding::ok(CHECK, "it is as the server's"),
        None => Finding::ok(CHECK, "it goes forward; there is no server's to compare it with"),
    }
}

#[cfg(test)]
mod tests {
    use imgrepo_proto::control::finding::FindingState;

    use super::*;

    #[test]
    fn what_differs_by_minutes_is_told() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let of = |before, server: Option<&str>| {
            let before = vec![("the daemon started", at(before))];
            let now = at("2026-05-01T12:00:00Z");
            let told = finding(&Clock { now, before, server: server.map(at) });
            (told.state, told.message)
        };
        let early = "2026-05-01T11:00:00Z";
        assert_eq!(of(early, None).0, FindingState::Ok);
        assert_eq!(of(early, Some("2026-05-01T12:04:00Z")).1, "it is as the server's");
        let (state, message) = of(early, Some("2026-05-01T13:30:00Z"));
        assert_eq!(state, FindingState::Warning);
        assert_eq!(message, "it is 90 min behind the server's");
        assert_eq!(
            of(early, Some("2025-05-01T12:00:00Z")).1,
            "it is 525600 min ahead of the server's"
        );
        assert_eq!(
            of("2027-05-01T12:00:00Z", None).1,
            "it was set back: the daemon started at 2027-05-01T12:00:00Z, \
             and now it is 2026-05-01T12:00:00Z"
        );
    }
}
