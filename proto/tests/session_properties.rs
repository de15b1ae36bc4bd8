//! Properties of the session's codecs: what is encoded reads as it was, and whatever a peer sends is
//! answered by a value, never by a panic. Both dialects, both directions; what is said of people has a
//! file of its own.

use bytes::Bytes;
use imgrepo_proto::session::command::{
    Auth, Cancel, Download, Events, Filter, Have, List, Program, Purge, Rename, Sort, State,
    Target, Upload,
};
use imgrepo_proto::session::reply::{ServerMessage, SizeInfo, encode_success};
use imgrepo_proto::session::{Command, DataHeader, Event, EventKind, Request, v1};
use imgrepo_proto::{BlobHash, ErrorCode, ImageId, ImageName, ImageRecord, Refusal, Seq};
use jiff::Timestamp;
use proptest::option;
use proptest::prelude::*;

fn hash() -> impl Strategy<Value = BlobHash> {
    any::<[u8; 32]>().prop_map(BlobHash)
}

fn time() -> impl Strategy<Value = Timestamp> {
    // Years 1 to 9999, to the nanosecond: all that RFC 3339 can write.
    (-62_000_000_000_i64..253_000_000_000, 0..1_000_000_000_i32)
        .prop_filter_map("no such time", |(second, nanosecond)| {
            Timestamp::new(second, nanosecond).ok()
        })
}

fn image_name() -> impl Strategy<Value = ImageName> {
    ".{1,40}".prop_filter_map("no image's name", |text| ImageName::parse(&text).ok())
}

fn target() -> impl Strategy<Value = Target> {
    prop_oneof![
        any::<u64>().prop_map(|id| Target::id(ImageId(id))),
        image_name().prop_map(Target::name),
        Just(Target::default()),
    ]
}

fn program() -> impl Strategy<Value = Program> {
    (".*", ".*").prop_map(|(name, version)| Program { name, version })
}

prop_compose! {
    fn auth()(user in option::of(".*"), client in option::of(program()), since in option::of(any::<u64>())) -> Auth {
        Auth { user, credential: None, client, events_since: since.map(Seq) }
    }
}

prop_compose! {
    fn upload()(
        name in ".*",
        size in any::<u64>(),
        hash in option::of(hash()),
        taken_at in option::of(".*"),
        unless_deleted in any::<bool>(),
    ) -> Upload {
        Upload { name, size, hash, taken_at, unless_deleted }
    }
}

prop_compose! {
    fn filter()(
        name in option::of(".*"),
        exact_name in option::of(".*"),
        uploader in option::of(".*"),
        text in option::of(".*"),
        uploaded_from in option::of(time()),
        uploaded_before in option::of(time()),
        media_type in option::of(".*"),
        trashed in any::<bool>(),
    ) -> Filter {
        let state = if trashed { State::Trashed } else { State::Listed };
        Filter { name, exact_name, uploader, text, uploaded_from, uploaded_before, media_type, state }
    }
}

prop_compose! {
    fn list()(
        filter in filter(),
        oldest in any::<bool>(),
        limit in option::of(any::<u32>()),
        cursor in option::of(".*"),
    ) -> List {
        List { filter, sort: if oldest { Sort::Oldest } else { Sort::Newest }, limit, cursor }
    }
}

fn command() -> impl Strategy<Value = Command> {
    prop_oneof![
        auth().prop_map(Command::Auth),
        upload().prop_map(Command::Upload),
        list().prop_map(Command::List),
        target().prop_map(Command::Info),
        proptest::collection::vec(hash(), 0..4).prop_map(|hashes| Command::Have(Have { hashes })),
        (target(), any::<u64>(), option::of(any::<u64>())).prop_map(|(target, offset, length)| {
            Command::Download(Download { target, offset, length })
        }),
        any::<u64>().prop_map(Command::Ack),
        any::<u32>().prop_map(|request| Command::Cancel(Cancel { request })),
        (any::<u64>(), ".*")
            .prop_map(|(id, name)| Command::Rename(Rename { image: ImageId(id), name })),
        target().prop_map(Command::Delete),
        target().prop_map(Command::Restore),
        option::of(any::<u64>()).prop_map(|id| Command::Purge(Purge { image: id.map(ImageId) })),
        (any::<u64>(), option::of(any::<u32>()))
            .prop_map(|(since, limit)| Command::Events(Events { since: Seq(since), limit })),
        Just(Command::Disconnect),
    ]
}

prop_compose! {
    fn record()(
        (id, name, uploader) in (any::<u64>(), ".*", ".*"),
        size in option::of(any::<u64>()),
        hash in option::of(hash()),
        media_type in option::of(".*"),
        (width, height) in (option::of(any::<u32>()), option::of(any::<u32>())),
        orientation in option::of(1..=8u8),
        uploaded_at in option::of(time()),
        taken_at in option::of(".*"),
        placeholder in option::of(".*"),
        trashed_at in option::of(time()),
    ) -> ImageRecord {
        ImageRecord {
            id: ImageId(id), name, uploader, size, hash, media_type, width, height, orientation,
            uploaded_at, taken_at, placeholder, trashed_at,
        }
    }
}

fn kind() -> impl Strategy<Value = EventKind> {
    prop_oneof![
        Just("NEW_UPLOAD".to_owned()),
        Just("RENAMED".to_owned()),
        Just("DELETED".to_owned()),
        Just("RESTORED".to_owned()),
        Just("PURGED".to_owned()),
        "[A-Z_]*",
    ]
    .prop_map(EventKind::from)
}

prop_compose! {
    fn event()(
        event in kind(),
        seq in option::of(any::<u64>()),
        at in option::of(time()),
        by in option::of(".*"),
        image in option::of(record()),
        message in option::of(".*"),
    ) -> Event {
        Event { event, seq: seq.map(Seq), at, by, image, message }
    }
}

fn refusal() -> impl Strategy<Value = Refusal> {
    (0..ErrorCode::ALL.len(), ".*", option::of(".*")).prop_map(|(at, message, hint)| Refusal {
        code: ErrorCode::ALL[at],
        message,
        hint,
    })
}

fn entry() -> impl Strategy<Value = v1::Entry> {
    (".*", ".*").prop_map(|(filename, uploader)| v1::Entry { filename, uploader })
}

fn classic_command() -> impl Strategy<Value = v1::Command> {
    prop_oneof![
        option::of(".*").prop_map(v1::Command::Auth),
        Just(v1::Command::List),
        (".*", any::<u64>()).prop_map(|(name, size)| v1::Command::Upload { name, size }),
        ".*".prop_map(v1::Command::Download),
        ".*".prop_map(v1::Command::View),
        Just(v1::Command::Disconnect),
    ]
}

fn classic_reply() -> impl Strategy<Value = v1::Reply> {
    prop_oneof![
        ".*".prop_map(v1::Reply::Success),
        proptest::collection::vec(entry(), 0..4).prop_map(v1::Reply::List),
        Just(v1::Reply::Ready),
        (any::<u64>(), ".*", any::<bool>())
            .prop_map(|(size, filename, view)| v1::Reply::SizeInfo { size, filename, view }),
        ".*".prop_map(v1::Reply::Error),
        ".*".prop_map(v1::Reply::Bye),
        proptest::collection::vec(".*", 0..6).prop_map(v1::Reply::History),
        ".*".prop_map(v1::Reply::NewUpload),
    ]
}

/// Texts that come close to messages: any text, any JSON members, and real messages cut or bent at a place.
fn hostile_text() -> impl Strategy<Value = String> {
    let members = prop_oneof![
        Just("\"id\"".to_owned()),
        Just("\"cmd\"".to_owned()),
        Just("\"args\"".to_owned()),
        Just("\"status\"".to_owned()),
        Just("\"event\"".to_owned()),
        Just("\"data\"".to_owned()),
        Just("\"offset\"".to_owned()),
        Just("\"filter\"".to_owned()),
    ];
    let values = prop_oneof![
        Just("null".to_owned()),
        Just("-1".to_owned()),
        Just("1e999".to_owned()),
        Just("18446744073709551616".to_owned()),
        Just("\"SUCCESS\"".to_owned()),
        Just("\"LIST\"".to_owned()),
        Just("\"\\ud800\"".to_owned()),
        Just("[]".to_owned()),
        Just("{}".to_owned()),
        Just("[".repeat(300)),
        "[ -~]{0,12}",
    ];
    let object = proptest::collection::vec((members, values), 0..5).prop_map(|members| {
        let members: Vec<String> =
            members.into_iter().map(|(member, value)| format!("{member}:{value}")).collect();
        format!("{{{}}}", members.join(","))
    });
    let bent = (1..u32::MAX, command(), any::<prop::sample::Index>(), ".").prop_map(
        |(id, command, at, put)| {
            let whole = Request { id, command }.encode();
            let places: Vec<usize> = whole.char_indices().map(|(place, _)| place).collect();
            let place = places[at.index(places.len())];
            format!("{}{put}{}", &whole[..place], &whole[place..])
        },
    );
    prop_oneof![".*", object, bent]
}

proptest! {
    #[test]
    fn a_request_reads_as_it_was_written(id in 1..=u32::MAX, command in command()) {
        let request = Request { id, command };
        prop_assert_eq!(Request::decode(&request.encode()), Ok(request));
    }

    #[test]
    fn an_event_reads_as_it_was_written(event in event()) {
        let text = ServerMessage::Event(Box::new(event.clone())).encode();
        match ServerMessage::decode(&text) {
            Ok(ServerMessage::Event(read)) => prop_assert_eq!(*read, event),
            other => prop_assert!(false, "{text} reads as {other:?}"),
        }
    }

    #[test]
    fn a_record_in_a_success_reads_as_it_was_written(id in any::<u32>(), record in record()) {
        match ServerMessage::decode(&encode_success(id, &record)) {
            Ok(ServerMessage::Success { id: read, data }) => {
                prop_assert_eq!(read, id);
                prop_assert_eq!(serde_json::from_str::<ImageRecord>(data.get()).ok(), Some(record));
            }
            other => prop_assert!(false, "{other:?}"),
        }
    }

    #[test]
    fn an_error_reads_as_it_was_written(id in option::of(any::<u32>()), refusal in refusal()) {
        let text = ServerMessage::Error { id, refusal: refusal.clone() }.encode();
        match ServerMessage::decode(&text) {
            Ok(ServerMessage::Error { id: read_id, refusal: read }) => {
                prop_assert_eq!((read_id, read), (id, refusal));
            }
            other => prop_assert!(false, "{text} reads as {other:?}"),
        }
    }

    #[test]
    fn interim_replies_read_as_they_were_written(
        id in any::<u32>(), offset in any::<u64>(), name in ".*", hash in hash(),
        media_type in option::of(".*"), word in ".*",
    ) {
        let info = SizeInfo { size: offset, name, hash, media_type };
        let messages = [
            ServerMessage::Ready { id, offset },
            ServerMessage::Ack { id, offset },
            ServerMessage::SizeInfo { id, info },
            ServerMessage::Bye { id, message: word },
        ];
        for message in messages {
            let read = ServerMessage::decode(&message.encode());
            prop_assert_eq!(read.map(|read| format!("{read:?}")).ok(), Some(format!("{message:?}")));
        }
    }

    #[test]
    fn a_data_message_reads_as_it_was_written(
        id in any::<u32>(), offset in any::<u64>(), content in proptest::collection::vec(any::<u8>(), 0..64),
    ) {
        let header = DataHeader { id, offset };
        let read = DataHeader::decode(header.message(&content));
        prop_assert_eq!(read, Ok((header, Bytes::from(content))));
    }

    #[test]
    fn the_classic_dialect_reads_as_it_was_written(command in classic_command(), reply in classic_reply()) {
        prop_assert_eq!(v1::Command::decode(&command.encode()), Ok(command));
        prop_assert_eq!(v1::Reply::decode(&reply.encode()), Ok(reply));
    }

    #[test]
    fn no_text_is_a_panic(text in hostile_text()) {
        let _ = Request::decode(&text);
        let _ = ServerMessage::decode(&text);
        let _ = v1::Command::decode(&text);
        let _ = v1::Reply::decode(&text);
    }

    #[test]
    fn no_bytes_are_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
        let short = bytes.len() < 12;
        let read = DataHeader::decode(Bytes::from(bytes.clone()));
        prop_assert_eq!(read.is_err(), short);
        let text = String::from_utf8_lossy(&bytes);
        let _ = Request::decode(&text);
        let _ = ServerMessage::decode(&text);
    }
}
