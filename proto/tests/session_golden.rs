//! The bytes of the session as they were released: each line of `golden/*.jsonl` must read as a
//! message and be written again as the very same bytes, for ever. A new command adds lines; a line
//! is never changed, because programs that are out there say and expect it.

use std::collections::BTreeSet;

use bytes::Bytes;
use imgrepo_proto::limits::MAX_ERROR_MESSAGE_BYTES;
use imgrepo_proto::session::command::CommandKind;
use imgrepo_proto::session::people::{
    AuditReply, DeviceReply, DevicesReply, InvitationReply, InvitationsReply, InviteReply,
    JoinReply, PeopleReply, PersonReply,
};
use imgrepo_proto::session::reply::{
    AuthReply, DownloadReply, EventsReply, HaveReply, ImageReply, ListReply, PurgeReply,
    UploadReply, encode_success,
};
use imgrepo_proto::session::view::ExifReply;
use imgrepo_proto::session::{DataHeader, Request, ServerMessage, v1};
use serde::Serialize;
use serde::de::DeserializeOwned;

const REQUESTS: &str = include_str!("golden/requests.jsonl");
const REPLIES: &str = include_str!("golden/replies.jsonl");
const EVENTS: &str = include_str!("golden/events.jsonl");
const CLASSIC_COMMANDS: &str = include_str!("golden/classic_commands.jsonl");
const CLASSIC_REPLIES: &str = include_str!("golden/classic_replies.jsonl");
const DATA_MESSAGE: &[u8] = include_bytes!("golden/data_message.bin");

#[test]
fn requests() {
    let mut words = BTreeSet::new();
    for line in REQUESTS.lines() {
        let request = Request::decode(line).unwrap_or_else(|bad| panic!("{line}: {bad:?}"));
        words.insert(request.command.word());
        assert_eq!(request.encode(), line);
    }
    let without = |kind: &CommandKind| !words.contains(kind.word());
    let missing: Vec<_> = CommandKind::ALL.into_iter().filter(without).collect();
    assert!(missing.is_empty(), "every command has a line, but for {missing:?}");
}

/// What is written now, without the members that records have gained since this line.
fn as_then(written: String, line: &str) -> String {
    match line.contains(r#""orientation":"#) {
        true => written,
        false => written.replace(r#""orientation":null,"#, ""),
    }
}

/// A SUCCESS with this `data` as its command's type, written again.
fn again<T: Serialize + DeserializeOwned>(id: u32, data: &str) -> String {
    let data: T = serde_json::from_str(data).unwrap_or_else(|error| panic!("{data}: {error}"));
    encode_success(id, &data)
}

#[test]
fn replies() {
    for line in REPLIES.lines() {
        let message = ServerMessage::decode(line).unwrap_or_else(|bad| panic!("{line}: {bad}"));
        let written = match &message {
            // The ids of the file stand for the commands whose outcome this is.
            ServerMessage::Success { id, data } => match id {
                1 => again::<AuthReply>(*id, data.get()),
                2 => again::<UploadReply>(*id, data.get()),
                3 => again::<ListReply>(*id, data.get()),
                4 => again::<ImageReply>(*id, data.get()),
                5 => again::<HaveReply>(*id, data.get()),
                6 => again::<DownloadReply>(*id, data.get()),
                7 => again::<PurgeReply>(*id, data.get()),
                8 => again::<EventsReply>(*id, data.get()),
                10 => again::<JoinReply>(*id, data.get()),
                13 => again::<InviteReply>(*id, data.get()),
                14 => again::<InvitationsReply>(*id, data.get()),
                15 => again::<InvitationReply>(*id, data.get()),
                16 => again::<PeopleReply>(*id, data.get()),
                17 | 18 => again::<PersonReply>(*id, data.get()),
                19 => again::<DevicesReply>(*id, data.get()),
                20 => again::<DeviceReply>(*id, data.get()),
                21 => again::<AuditReply>(*id, data.get()),
                22 => again::<ExifReply>(*id, data.get()),
                _ => message.encode(),
            },
            other => other.encode(),
        };
        assert_eq!(as_then(written, line), line);
    }
}

#[test]
fn events() {
    for line in EVENTS.lines() {
        let message = ServerMessage::decode(line).unwrap_or_else(|bad| panic!("{line}: {bad}"));
        assert!(matches!(message, ServerMessage::Event(_)), "{line}");
        assert_eq!(as_then(message.encode(), line), line);
    }
}

#[test]
fn the_classic_dialect() {
    for line in CLASSIC_COMMANDS.lines() {
        let command = v1::Command::decode(line).unwrap_or_else(|bad| panic!("{line}: {bad}"));
        assert_eq!(command.encode(), line);
    }
    for line in CLASSIC_REPLIES.lines() {
        let reply = v1::Reply::decode(line).unwrap_or_else(|bad| panic!("{line}: {bad}"));
        assert_eq!(reply.encode(), line);
    }
}

#[test]
fn a_classic_answer_that_cannot_be_read_is_told_from_what_answers_nothing() {
    let unreadable = |text| matches!(v1::Reply::decode(text), Ok(v1::Reply::Unreadable(_)));
    for text in [
        r#"{"status":"SUCCESS","data":[{"filename":7}]}"#,
        r#"{"status":"SUCCESS","data":7}"#,
        r#"{"status":"SIZE_INFO"}"#,
        r#"{"status":"SIZE_INFO","size":-1}"#,
        r#"{"status":"SIZE_INFO","size":18446744073709551616}"#,
        r#"{"status":"PERHAPS"}"#,
    ] {
        assert!(unreadable(text), "{text}");
    }
    for text in [r#"{"event":"NOVELTY"}"#, r#"{"event":"HISTORY","data":7}"#, "{}", "[]", "no"] {
        assert!(v1::Reply::decode(text).is_err(), "{text}");
    }
    let null = v1::Reply::decode(r#"{"status":"SUCCESS","message":7,"data":null}"#);
    assert_eq!(null, Ok(v1::Reply::Success(String::new())));
}

#[test]
fn words_without_end_are_cut() {
    let endless = "x".repeat(MAX_ERROR_MESSAGE_BYTES + 1);
    for text in ["ERROR", "SUCCESS", "BYE"] {
        let text = format!(r#"{{"status":"{text}","message":"{endless}"}}"#);
        match v1::Reply::decode(&text).unwrap() {
            v1::Reply::Error(words) | v1::Reply::Success(words) | v1::Reply::Bye(words) => {
                assert!(words.len() <= MAX_ERROR_MESSAGE_BYTES);
            }
            other => panic!("{other:?}"),
        }
    }
    let text = format!(r#"{{"id":1,"status":"ERROR","message":"{endless}","hint":"{endless}"}}"#);
    let Ok(ServerMessage::Error { refusal, .. }) = ServerMessage::decode(&text) else { panic!() };
    assert!(refusal.message.len() <= MAX_ERROR_MESSAGE_BYTES);
    assert!(refusal.hint.unwrap().len() <= MAX_ERROR_MESSAGE_BYTES);
}

#[test]
fn a_data_message() {
    let header = DataHeader { id: 0x0102_0304, offset: 0x0506_0708_090a_0b0c };
    let content: &[u8] = b"\x89PNG\r\n\x1a\n";
    assert_eq!(header.message(content), DATA_MESSAGE);
    assert_eq!(
        DataHeader::decode(Bytes::from_static(DATA_MESSAGE)),
        Ok((header, Bytes::from_static(content)))
    );
}
