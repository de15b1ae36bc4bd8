//! Every text and frame that a stranger can say: to the server in both dialects, to the client, and to
//! the control socket. What is understood is said again and understood alike.

#![no_main]

use imgrepo_proto::control::frame::{self, Decoder};
use imgrepo_proto::session::command::Request;
use imgrepo_proto::session::reply::ServerMessage;
use imgrepo_proto::session::v1;
use imgrepo_proto::{ImageName, PersonName, control, name};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let _ = frame::decode::<control::Request>(data);
    let _ = frame::decode::<control::Reply>(data);
    let mut decoder = Decoder::new();
    for piece in data.chunks(97) {
        let space = decoder.space();
        let count = space.len().min(piece.len());
        space[..count].copy_from_slice(&piece[..count]);
        decoder.filled(count);
        while let Ok(Some(_)) = decoder.next::<control::Request>() {}
    }
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(request) = Request::decode(text) {
        let said = request.encode();
        let again = Request::decode(&said).expect("what we say is understood");
        assert_eq!(said, again.encode());
    }
    if let Ok(message) = ServerMessage::decode(text) {
        let _ = message.encode();
    }
    let _ = v1::Command::decode(text);
    let _ = v1::Reply::decode(text);
    let file = name::file_name(text);
    assert!(!file.is_empty() && file.len() <= 255 && !file.contains(['/', '\\', '\0']));
    assert!(file != "." && file != "..");
    assert!(!name::shown(text).chars().any(name::is_unsafe_to_show));
    if let Ok(name) = ImageName::parse(text) {
        assert_eq!(ImageName::parse(name.as_str()).as_ref(), Ok(&name));
    }
    if let Ok(name) = PersonName::parse(text) {
        assert_eq!(PersonName::parse(name.as_str()).as_ref(), Ok(&name));
    }
});
