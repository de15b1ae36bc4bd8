//! What a server takes at most, for its status: each limit by the key that sets it, or by a name where
//! nothing does, with its value and how much of it is in use.

use std::fmt::Display;
use std::time::Duration;

use imgrepo_proto::control::reply::LimitStatus;

use crate::config::{Reserve, ServerConfig};
use crate::server::{FAILED_BY_ADDRESS, FAILED_BY_NAME, GUESTS_BY_ADDRESS, HEAD_BYTES, Timeouts};

/// How much is in use, where that is known.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Used {
    pub(super) sessions: u32,
    pub(super) kept_bytes: Option<u64>,
    pub(super) variants_bytes: Option<u64>,
}

pub(super) fn limits(told: &ServerConfig, reserve_bytes: u64, used: Used) -> Vec<LimitStatus> {
    let ServerConfig {
        listen: _,
        public_host: _,
        guests: _,
        plaintext_guests: _,
        tls_files: _,
        behind_proxy: _,
        max_image_bytes,
        v1_max_image_bytes,
        v1_budget_bytes,
        trash_days,
        staging_days,
        staging_quota_bytes,
        person_quota_bytes,
        repository_quota_bytes,
        reserve,
        variants,
        variants_budget_bytes,
        max_sessions,
        sessions_per_address,
        sessions_per_person,
        requests_per_session,
        in_file,
    } = told;
    let set = |key: &str, value: String| LimitStatus {
        key: key.to_owned(),
        value,
        used: None,
        fixed: false,
        in_file: in_file.contains(key),
    };
    let fixed = |name: &str, value: String| LimitStatus { fixed: true, ..set(name, value) };
    let quota = |bytes: Option<u64>| bytes.map_or_else(|| "none".to_owned(), size);
    let reserve = match reserve {
        Reserve::Percent(part) => format!("{} ({part}%)", size(reserve_bytes)),
        Reserve::Bytes(_) => size(reserve_bytes),
    };
    let a_minute = |times: std::num::NonZeroU32| format!("{times} a minute");
    let seconds = |time: Duration| format!("{} s", time.as_secs());
    let times = Timeouts::default();
    vec![
        LimitStatus {
            used: Some(count(used.sessions)),
            ..set("max_sessions", count(max_sessions))
        },
        set("sessions_per_address", count(sessions_per_address)),
        set("sessions_per_person", count(sessions_per_person)),
        set("requests_per_session", count(requests_per_session)),
        set("max_image_size", size(*max_image_bytes)),
        set("v1_max_image_size", size(*v1_max_image_bytes)),
        set("v1_budget", size(*v1_budget_bytes)),
        set("person_quota", quota(*person_quota_bytes)),
        LimitStatus {
            used: used.kept_bytes.map(size),
            ..set("repository_quota", quota(*repository_quota_bytes))
        },
        set("reserve", reserve),
        set("variants", variants.to_string()),
        LimitStatus {
            used: used.variants_bytes.map(size),
            ..set("variants_budget", size(*variants_budget_bytes))
        },
        set("staging_quota", size(*staging_quota_bytes)),
        set("staging_days", count(staging_days)),
        set("trash_days", count(trash_days)),
        fixed("failed logins of a name", a_minute(FAILED_BY_NAME)),
        fixed("failed logins from an address", a_minute(FAILED_BY_ADDRESS)),
        fixed("new guests from an address", a_minute(GUESTS_BY_ADDRESS)),
        fixed("time for a handshake", seconds(times.handshake)),
        fixed("time for AUTH", seconds(times.auth)),
        fixed("head of a request", size(HEAD_BYTES as u64)),
    ]
}

/// In groups of three.
fn count(count: impl Display) -> String {
    let digits = count.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Most are whole ones of their unit.
fn size(bytes: u64) -> String {
    imgrepo_proto::size(bytes).replace(".0 ", " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_for_people() {
        assert_eq!(["7", "100", "1,000", "10,000"], [7, 100, 1000, 10_000].map(count).as_ref());
        for (bytes, text) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1 KiB"),
            (64 << 20, "64 MiB"),
            (5_368_709_120, "5 GiB"),
            (13_529_146_982, "12.6 GiB"),
        ] {
            assert_eq!(size(bytes), text);
        }
    }
}
