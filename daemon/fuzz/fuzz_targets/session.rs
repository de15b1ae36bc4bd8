//! Every text of v2, to the server and to the client. What is understood is said again and understood
//! alike.

#![no_main]

use imgrepo_proto::session::command::Request;
use imgrepo_proto::session::reply::ServerMessage;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(request) = Request::decode(text) {
        let said = request.encode();
        let again = Request::decode(&said).expect("what we say is understood");
        assert_eq!(said, again.encode());
    }
    if let Ok(message) = ServerMessage::decode(text) {
        let said = message.encode();
        let again = ServerMessage::decode(&said).expect("what we say is understood");
        assert_eq!(said, again.encode());
    }
});
