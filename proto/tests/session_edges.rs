//! What the server says to requests at the edge of what can be written: numbers that no id or size
//! can be, members that it does not know, commands and arguments of the wrong shape.

use imgrepo_proto::session::command::{Command, Request};
use imgrepo_proto::session::reply::ServerMessage;
use imgrepo_proto::session::v1;
use imgrepo_proto::{ErrorCode, ImageId};

/// The request's number and the code of the ERROR that answers this text.
fn refused(text: &str) -> (Option<u32>, ErrorCode) {
    match Request::decode(text) {
        Err(bad) => (bad.id, bad.refusal.code),
        Ok(request) => panic!("{text} reads as {request:?}"),
    }
}

fn read(text: &str) -> Command {
    match Request::decode(text) {
        Ok(request) => request.command,
        Err(bad) => panic!("{text} is refused: {bad:?}"),
    }
}

#[test]
fn an_id_is_a_whole_number_from_1_to_2_to_the_32_less_1() {
    for id in ["1", "4294967295"] {
        let request = Request::decode(&format!(r#"{{"id":{id},"cmd":"LIST"}}"#)).unwrap();
        assert_eq!(request.id.to_string(), id);
    }
    let no_ids = [
        "0",
        "-1",
        "4294967296",
        "18446744073709551616",
        "1.5",
        "1.0",
        "1e400",
        "null",
        "\"7\"",
        "true",
        "[7]",
        "{}",
    ];
    for id in no_ids {
        let text = format!(r#"{{"id":{id},"cmd":"LIST"}}"#);
        assert_eq!(refused(&text), (None, ErrorCode::BadRequest), "{id}");
    }
    assert_eq!(refused(r#"{"cmd":"LIST"}"#), (None, ErrorCode::BadRequest));
}

#[test]
fn what_is_no_request_is_refused_and_names_the_id_where_one_can_be_read() {
    for text in ["", "null", "7", "[]", "\"LIST\"", "[7,\"LIST\"]", "{", "{\"id\":7", "\u{0}", "{}"]
    {
        assert_eq!(refused(text), (None, ErrorCode::BadRequest), "{text}");
    }
    let seven = Some(7);
    assert_eq!(refused(r#"{"id":7}"#), (seven, ErrorCode::BadRequest));
    assert_eq!(refused(r#"{"id":7,"cmd":null}"#), (seven, ErrorCode::BadRequest));
    assert_eq!(refused(r#"{"id":7,"cmd":""}"#), (seven, ErrorCode::Unsupported));
    assert_eq!(refused(r#"{"id":7,"cmd":"FLY"}"#), (seven, ErrorCode::Unsupported));
    assert_eq!(refused(r#"{"id":7,"cmd":"UPLOAD"}"#), (seven, ErrorCode::BadRequest));
    assert_eq!(refused(r#"{"id":7,"cmd":"UPLOAD","args":null}"#), (seven, ErrorCode::BadRequest));
    assert_eq!(
        refused(r#"{"id":7,"cmd":"INFO","args":{"image":"7"}}"#),
        (seven, ErrorCode::BadRequest)
    );
    assert_eq!(
        refused(r#"{"id":7,"cmd":"UPLOAD","args":["a.jpg",5]}"#),
        (seven, ErrorCode::BadRequest)
    );
    assert_eq!(
        refused(r#"{"id":7,"cmd":"INFO","args":{"name":"a/b"}}"#),
        (seven, ErrorCode::BadRequest)
    );
    assert_eq!(refused(r#"{"id":7,"cmd":"ACK"}"#), (seven, ErrorCode::BadRequest));
    assert_eq!(
        refused(r#"{"id":7,"cmd":"HAVE","args":{"hashes":["ab"]}}"#),
        (seven, ErrorCode::BadRequest)
    );
}

#[test]
fn a_command_is_matched_without_regard_to_case_and_needs_no_empty_args() {
    assert_eq!(read(r#"{"id":1,"cmd":"disconnect"}"#), Command::Disconnect);
    assert_eq!(read(r#"{"id":1,"cmd":"List"}"#), read(r#"{"id":1,"cmd":"LIST","args":{}}"#));
    assert_eq!(
        read(r#"{"id":1,"cmd":"Auth"}"#),
        read(r#"{"id":1,"cmd":"AUTH","args":{"user":null}}"#)
    );
}

#[test]
fn sizes_go_up_to_2_to_the_64_less_1() {
    let size =
        |size: &str| format!(r#"{{"id":1,"cmd":"UPLOAD","args":{{"name":"a","size":{size}}}}}"#);
    for good in [0, 1, 1 << 63, u64::MAX] {
        match read(&size(&good.to_string())) {
            Command::Upload(upload) => assert_eq!(upload.size, good),
            other => panic!("{other:?}"),
        }
    }
    for bad in ["-1", "18446744073709551616", "1.5", "1e3", "\"5\"", "null"] {
        assert_eq!(refused(&size(bad)), (Some(1), ErrorCode::BadRequest), "{bad}");
    }
}

#[test]
fn unknown_members_are_ignored_but_in_a_filter() {
    let plain = read(r#"{"id":1,"cmd":"LIST","args":{"filter":{"name":"*.png"}}}"#);
    let newer = r#"{"id":1,"cmd":"LIST","soon":1,"args":{"filter":{"name":"*.png"},"also":[{}]}}"#;
    assert_eq!(read(newer), plain);
    assert_eq!(
        read(r#"{"id":1,"cmd":"INFO","args":{"image":3,"variant":"256"}}"#),
        read(r#"{"id":1,"cmd":"INFO","args":{"image":3}}"#)
    );
    let unsupported = [
        r#"{"filter":{"album":"x"}}"#,
        r#"{"filter":{"name":"*","album":null}}"#,
        r#"{"filter":{"state":"purged"}}"#,
        r#"{"sort":"best"}"#,
    ];
    for args in unsupported {
        let text = format!(r#"{{"id":9,"cmd":"LIST","args":{args}}}"#);
        assert_eq!(refused(&text), (Some(9), ErrorCode::Unsupported), "{args}");
    }
    for args in [
        r#"{"filter":7}"#,
        r#"{"filter":["*"]}"#,
        r#"{"filter":[]}"#,
        r#"{"filter":{"name":7}}"#,
        r#"{"limit":-1}"#,
        "[]",
        "7",
    ] {
        let text = format!(r#"{{"id":9,"cmd":"LIST","args":{args}}}"#);
        assert_eq!(refused(&text), (Some(9), ErrorCode::BadRequest), "{args}");
    }
}

#[test]
fn a_page_has_at_least_one_and_at_most_500() {
    let page = |limit: &str| match read(&format!(r#"{{"id":1,"cmd":"LIST","args":{{{limit}}}}}"#)) {
        Command::List(list) => list.page_size(),
        other => panic!("{other:?}"),
    };
    assert_eq!(page(""), 100);
    assert_eq!(page(r#""limit":0"#), 1);
    assert_eq!(page(r#""limit":1"#), 1);
    assert_eq!(page(r#""limit":500"#), 500);
    assert_eq!(page(r#""limit":501"#), 500);
    assert_eq!(page(r#""limit":4294967295"#), 500);
}

#[test]
fn a_hash_is_64_hex_digits_in_either_case() {
    let upper = format!(r#"{{"id":1,"cmd":"HAVE","args":{{"hashes":["{}"]}}}}"#, "AB".repeat(32));
    match read(&upper) {
        Command::Have(have) => assert_eq!(have.hashes[0].to_string(), "ab".repeat(32)),
        other => panic!("{other:?}"),
    }
    for bad in ["a".repeat(63), "a".repeat(65), "é".repeat(32), "+a".repeat(32), " a".repeat(32)] {
        let text = format!(r#"{{"id":1,"cmd":"HAVE","args":{{"hashes":["{bad}"]}}}}"#);
        assert_eq!(refused(&text), (Some(1), ErrorCode::BadRequest), "{bad}");
    }
}

#[test]
fn a_download_names_its_image_beside_its_range() {
    match read(
        r#"{"id":1,"cmd":"DOWNLOAD","args":{"image":3,"offset":9223372036854775808,"length":0}}"#,
    ) {
        Command::Download(download) => {
            assert_eq!(download.target.image, Some(ImageId(3)));
            assert_eq!((download.offset, download.length), (1 << 63, Some(0)));
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_client_reads_what_newer_servers_say() {
    let unknown_code = r#"{"id":1,"status":"ERROR","code":"too_purple","message":"no purple"}"#;
    match ServerMessage::decode(unknown_code).unwrap() {
        ServerMessage::Error { id, refusal } => {
            assert_eq!((id, refusal.code), (Some(1), ErrorCode::Internal));
            assert_eq!(refusal.message, "no purple");
        }
        other => panic!("{other:?}"),
    }
    let unknown_event = r#"{"event":"TAGGED","seq":4,"at":null,"by":"ana","image":null,"tag":"x"}"#;
    match ServerMessage::decode(unknown_event).unwrap() {
        ServerMessage::Event(event) => assert_eq!(event.event.word(), "TAGGED"),
        other => panic!("{other:?}"),
    }
    for no_reply in ["{}", "[]", r#"{"status":"READY"}"#, r#"{"id":1,"status":"WHAT"}"#] {
        assert!(ServerMessage::decode(no_reply).is_err(), "{no_reply}");
    }
}

#[test]
fn an_old_client_is_understood_as_the_old_server_did() {
    let read = |text: &str| v1::Command::decode(text);
    assert_eq!(read(r#"{"cmd":"auth"}"#), Ok(v1::Command::Auth(None)));
    assert_eq!(read(r#"{"cmd":"AUTH","args":[""]}"#), Ok(v1::Command::Auth(Some(String::new()))));
    let upload = |size| v1::Command::Upload { name: "a.jpg".to_owned(), size };
    assert_eq!(read(r#"{"cmd":"UPLOAD","args":["a.jpg","12"]}"#), Ok(upload(12)));
    assert_eq!(read(r#"{"cmd":"UPLOAD","args":["a.jpg",12]}"#), Ok(upload(12)));
    assert_eq!(read(r#"{"cmd":"Upload","args":["a.jpg"," 12 "]}"#), Ok(upload(12)));
    let huge = r#"{"cmd":"UPLOAD","args":["a.jpg","18446744073709551615"]}"#;
    assert_eq!(read(huge), Ok(upload(u64::MAX)));
    let refused = [
        r#"{"cmd":"UPLOAD","args":["a.jpg"]}"#,
        r#"{"cmd":"UPLOAD","args":["a.jpg","-1"]}"#,
        r#"{"cmd":"UPLOAD","args":["a.jpg","1.5"]}"#,
        r#"{"cmd":"UPLOAD","args":["a.jpg","18446744073709551616"]}"#,
        r#"{"cmd":"DOWNLOAD","args":[]}"#,
        r#"{"cmd":"FLY"}"#,
        r#"{"cmd":7}"#,
        "[]",
        "",
    ];
    for text in refused {
        assert!(read(text).is_err(), "{text}");
    }
}

#[test]
fn what_would_wait_is_bounded_before_it_does() {
    let long = "x".repeat(1025);
    for member in ["name", "exact_name", "uploader", "text", "media_type"] {
        let text =
            format!(r#"{{"id":7,"cmd":"LIST","args":{{"filter":{{"{member}":"{long}"}}}}}}"#);
        assert_eq!(refused(&text), (Some(7), ErrorCode::BadRequest), "{member}");
    }
    let text = format!(r#"{{"id":7,"cmd":"LIST","args":{{"cursor":"{long}"}}}}"#);
    assert_eq!(refused(&text), (Some(7), ErrorCode::BadRequest));
    let text =
        format!(r#"{{"id":7,"cmd":"LIST","args":{{"filter":{{"name":"{}"}}}}}}"#, &long[1..]);
    assert!(matches!(read(&text), Command::List(_)));
    let hashes = |count| vec![format!("\"{}\"", "a".repeat(64)); count].join(",");
    let text = format!(r#"{{"id":7,"cmd":"HAVE","args":{{"hashes":[{}]}}}}"#, hashes(1001));
    assert_eq!(refused(&text), (Some(7), ErrorCode::BadRequest));
    let text = format!(r#"{{"id":7,"cmd":"HAVE","args":{{"hashes":[{}]}}}}"#, hashes(1000));
    assert!(matches!(read(&text), Command::Have(_)));
}

#[test]
fn an_error_quotes_no_more_than_a_message_holds() {
    // Each of these characters is shown as six.
    let word = "\u{7f}".repeat(200_000);
    let bad = Request::decode(&format!(r#"{{"id":7,"cmd":"{word}"}}"#)).unwrap_err();
    let text = ServerMessage::Error { id: bad.id, refusal: bad.refusal }.encode();
    assert!(text.len() < 10_000, "{}", text.len());
    let Ok(ServerMessage::Error { id: Some(7), refusal }) = ServerMessage::decode(&text) else {
        panic!("{text}");
    };
    assert_eq!(refusal.code, ErrorCode::Unsupported);
    assert!(
        refusal.message.starts_with("there is no command `\\u007f")
            && refusal.message.ends_with('…')
    );
}
