//! Servers that say what no server should: the request fails, and nothing else does.

use imgrepo_proto::control::reply::{SessionState, SessionStatus};
use imgrepo_proto::session::command::List;
use imgrepo_proto::session::event::{Event, EventKind};
use imgrepo_proto::session::reply::{EventsReply, ServerMessage, encode_success};
use imgrepo_proto::session::v1;
use imgrepo_proto::{ErrorCode, Refusal, Seq};

use crate::daemon;
use crate::old_server::old_server;
use crate::scripted::Server;

fn event(seq: Option<u64>) -> Event {
    let (event, seq) = (EventKind::NewUpload, seq.map(Seq));
    Event { event, seq, at: None, by: None, image: None, message: None }
}

#[tokio::test]
async fn an_old_servers_answer_that_cannot_be_read_ends_its_command() {
    let server = Server::start().await;
    let daemon = daemon();
    daemon.connect(&server);
    let mut conn = old_server(&server).await;
    let peer = daemon.session.peer().await.unwrap();
    for answer in [
        r#"{"status":"SUCCESS","cmd":"LIST","data":[{"filename":7}]}"#,
        r#"{"status":"SUCCESS","cmd":"LIST","data":"none"}"#,
        r#"{"status":"SIZE_INFO","size":-1}"#,
        r#"{"status":"PERHAPS"}"#,
    ] {
        let peer = peer.clone();
        let listing = tokio::spawn(async move { peer.list(List::default()).await });
        assert_eq!(conn.command().await, v1::Command::List);
        // What is not known and answers nothing is passed over.
        conn.say(r#"{"event":"NOVELTY","data":[]}"#);
        conn.say("no JSON");
        conn.say(answer);
        let refusal = listing.await.unwrap().unwrap_err();
        assert_eq!(refusal.code, ErrorCode::Internal, "{answer}");
        assert!(refusal.message.contains("the old server broke the protocol"), "{refusal}");
    }
}
