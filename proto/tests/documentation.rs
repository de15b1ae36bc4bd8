//! `PROTOCOL.md` says what the code does: its messages read, its tables agree with the constants, and
//! its client is the file that the tests run.

use imgrepo_proto::invitation::{Link, MAX_ADDRESSES, MAX_LINK_BYTES};
use imgrepo_proto::limits::{self, SessionLimits};
use imgrepo_proto::session::command::CommandKind;
use imgrepo_proto::session::people::{AuditEntry, Device, Invitation, Person};
use imgrepo_proto::session::reply::ServerMessage;
use imgrepo_proto::session::{Request, v1};
use imgrepo_proto::{ErrorCode, ImageRecord};

const PAGE: &str = include_str!("../PROTOCOL.md");
const CLIENT: &str = include_str!("../examples/client.py");

#[test]
fn the_client_is_the_one_that_the_tests_run() {
    let (_, from_start) = PAGE.split_once("```python\n").expect("a block of Python");
    let (client, _) = from_start.split_once("```\n").expect("its end");
    assert!(client == CLIENT, "PROTOCOL.md and examples/client.py differ: copy one into the other");
    assert!(CLIENT.lines().count() <= 80, "the client fits one screen");
}

#[test]
fn every_message_on_the_page_reads() {
    let (v2, v1) = PAGE.split_once("\n## v1: ").expect("a part for v1");
    let said = |part: &'static str, who: &'static str| {
        part.lines()
            .filter_map(move |line| line.strip_prefix(who))
            .filter(|text| text.starts_with('{'))
    };
    for text in said(v2, "C ") {
        assert!(Request::decode(text).is_ok(), "{text}: {:?}", Request::decode(text));
    }
    for text in said(v2, "S ") {
        assert!(ServerMessage::decode(text).is_ok(), "{text}: {:?}", ServerMessage::decode(text));
    }
    for text in said(v1, "C ") {
        assert!(v1::Command::decode(text).is_ok(), "{text}");
    }
    for text in said(v1, "S ") {
        assert!(v1::Reply::decode(text).is_ok(), "{text}");
    }
    let record = PAGE.split("```json\n").nth(1).and_then(|rest| rest.lines().next());
    let record: ImageRecord = serde_json::from_str(record.expect("a record")).expect("it reads");
    assert_eq!(record.id.0, 13);
    assert!(said(v2, "C ").count() >= 5 && said(v1, "S ").count() >= 5);
}

#[test]
fn every_command_stands_in_the_table() {
    for kind in CommandKind::ALL {
        let word = kind.word();
        assert!(PAGE.contains(&format!("\n| `{word}` |")), "{word}");
    }
}

#[test]
fn what_is_said_of_people_reads() {
    let link = PAGE.lines().find(|line| line.starts_with("imgrepo://")).expect("a link");
    assert_eq!(link.parse::<Link>().expect("it reads").expose(), link);
    let (_, records) = PAGE.split_once("Of people: an invitation").expect("their records");
    let mut records = records.lines().filter(|line| line.starts_with('{'));
    let mut record = || records.next().expect("four of them");
    serde_json::from_str::<Invitation>(record()).expect("an invitation");
    serde_json::from_str::<Person>(record()).expect("a person");
    serde_json::from_str::<Device>(record()).expect("a device");
    serde_json::from_str::<AuditEntry>(record()).expect("an entry");
}

#[test]
fn every_error_code_stands_there_with_its_exit_code() {
    for code in ErrorCode::ALL {
        let word = serde_json::to_value(code).expect("a word");
        let word = word.as_str().expect("a word");
        let exit = code.exit_code();
        let in_table = PAGE.lines().any(|line| {
            line.starts_with(&format!("| `{word}` |")) && line.ends_with(&format!("| {exit} |"))
        });
        assert!(in_table || PAGE.contains(&format!("`{word}` {exit}")), "{word}, {exit}");
    }
}

#[test]
fn the_limits_are_those_of_the_code() {
    let defaults = SessionLimits::default();
    for (name, value) in [
        ("chunk", u64::from(defaults.chunk)),
        ("window", defaults.window),
        ("session_window", defaults.session_window),
        ("max_requests", u64::from(defaults.max_requests)),
        ("max_image_size", defaults.max_image_size),
    ] {
        assert!(PAGE.contains(&format!("| `{name}` | {value} |")), "{name} is {value}");
    }
    let fixed = format!(
        "Fixed: text messages {} bytes, HAVE {} hashes, pages of LIST and EVENTS {} ({} when not asked), \
         image names {} bytes, names of people {} bytes,\n\
         texts in a filter and cursors {} bytes.",
        limits::MAX_TEXT_BYTES,
        limits::MAX_HAVE,
        limits::MAX_PAGE,
        limits::DEFAULT_PAGE,
        limits::MAX_IMAGE_NAME_BYTES,
        limits::MAX_PERSON_NAME_BYTES,
        limits::MAX_FILTER_TEXT_BYTES,
    );
    assert!(PAGE.contains(&fixed), "{fixed}");
    let people = format!(
        "Of people: {} devices of one person, their names {} bytes; {} invitations that let in at once, \
         each for 1 to {} people, for a week when not asked and\n{} seconds at most.",
        limits::MAX_DEVICES,
        limits::MAX_DEVICE_LABEL_BYTES,
        limits::MAX_INVITATIONS,
        limits::MAX_INVITATION_USES,
        limits::MAX_INVITATION_SECONDS,
    );
    assert!(PAGE.contains(&people), "{people}");
    assert_eq!(limits::INVITATION_SECONDS, 7 * 24 * 60 * 60);
    assert!(PAGE.contains(&format!("1 to {MAX_ADDRESSES} addresses")));
    assert!(PAGE.contains(&format!("at most {MAX_LINK_BYTES} bytes")));
    assert!(PAGE.contains(&format!("port {} unless", limits::DEFAULT_PORT)));
}
