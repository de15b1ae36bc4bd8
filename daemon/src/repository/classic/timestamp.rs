//! The old catalog's timestamps: which time they tell, and how an export writes one.
//!
//! Called with the JSON in which one stands. The old server wrote the local time of its machine
//! without saying so; a time without an offset is taken as that of this one. Pure: the zone comes
//! from outside.

use jiff::civil::{Date, DateTime};
use jiff::fmt::strtime;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

/// Forms other than ISO 8601 that people gave Python's `strftime`.
const FORMS: [&str; 6] = [
    "%d/%m/%Y %H:%M:%S",
    "%d/%m/%Y %H:%M",
    "%d/%m/%Y, %H:%M:%S",
    "%d-%m-%Y %H:%M:%S",
    "%Y%m%d_%H%M%S",
    "%a %b %d %H:%M:%S %Y", // `ctime`
];

/// The time that a timestamp tells. None: in no form that is known, or none that a time can be.
pub(super) fn read(json: &str, zone: &TimeZone) -> Option<Timestamp> {
    if let Ok(text) = serde_json::from_str::<String>(json) {
        return of_text(text.trim(), zone);
    }
    of_seconds(json)
}

fn of_text(text: &str, zone: &TimeZone) -> Option<Timestamp> {
    if let Ok(time) = text.parse::<Timestamp>() {
        return Some(time);
    }
    let local = text
        .parse::<DateTime>()
        .ok()
        .or_else(|| FORMS.iter().find_map(|form| civil(form, text)))
        .or_else(|| Date::strptime("%d/%m/%Y", text).ok().map(|date| date.at(0, 0, 0, 0)));
    match local {
        // Of a time that a clock change made twice, the first; of one that it left out, the later.
        Some(local) => local.to_zoned(zone.clone()).ok().map(|zoned| zoned.timestamp()),
        None => of_seconds(text),
    }
}

fn civil(form: &str, text: &str) -> Option<DateTime> {
    strtime::parse(form, text).ok()?.to_datetime().ok()
}

/// Seconds since 1970, as Python's `time.time()`.
fn of_seconds(text: &str) -> Option<Timestamp> {
    let seconds: f64 = text.parse().ok()?;
    // A small number is a counter or a year, not a time of a system that came with WebSockets.
    if !(1e9..1e11).contains(&seconds) {
        return None;
    }
    Timestamp::UNIX_EPOCH.checked_add(SignedDuration::try_from_secs_f64(seconds).ok()?).ok()
}

/// A time as Python's `datetime.now().isoformat()` writes it, as JSON.
pub(super) fn write(time: Timestamp, zone: &TimeZone) -> String {
    format!("\"{:.6}\"", zone.to_datetime(time))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recife() -> TimeZone {
        TimeZone::fixed(jiff::tz::offset(-3))
    }

    #[test]
    fn every_form_tells_its_time_and_one_without_an_offset_the_local_one() {
        for (json, told) in [
            ("\"2024-05-01T12:34:56.789\"", "2024-05-01T15:34:56.789Z"),
            ("\"2024-05-01 12:34:56\"", "2024-05-01T15:34:56Z"),
            ("\"2024-05-01T12:34:56+02:00\"", "2024-05-01T10:34:56Z"),
            ("\"2024-05-01T12:34:56Z\"", "2024-05-01T12:34:56Z"),
            ("\"2024-05-01\"", "2024-05-01T03:00:00Z"),
            ("\"01/05/2024 12:34:56\"", "2024-05-01T15:34:56Z"),
            ("\"01/05/2024 12:34\"", "2024-05-01T15:34:00Z"),
            ("\"01/05/2024\"", "2024-05-01T03:00:00Z"),
            ("\"20240501_123456\"", "2024-05-01T15:34:56Z"),
            ("\"Wed May  1 12:34:56 2024\"", "2024-05-01T15:34:56Z"),
            ("1714567890", "2024-05-01T12:51:30Z"),
            ("1714567890.25", "2024-05-01T12:51:30.25Z"),
            ("\"1714567890.25\"", "2024-05-01T12:51:30.25Z"),
        ] {
            assert_eq!(read(json, &recife()), Some(told.parse().unwrap()), "{json}");
        }
    }

    #[test]
    fn what_is_no_time_tells_none() {
        for json in ["\"\"", "\"ontem\"", "\"2024\"", "5", "-1", "1e300", "null", "\"32/01/2024\""]
        {
            assert_eq!(read(json, &recife()), None, "{json}");
        }
    }

    #[test]
    fn what_is_written_reads_as_the_same_time() {
        let time: Timestamp = "2026-11-23T06:00:00.123Z".parse().unwrap();
        let json = write(time, &recife());
        assert_eq!(json, "\"2026-11-23T03:00:00.123000\"");
        assert_eq!(read(&json, &recife()), Some(time));
    }
}
