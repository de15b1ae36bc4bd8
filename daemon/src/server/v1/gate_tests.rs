//! The gate fed with frames whole, cut at every byte and made to do harm.

use super::*;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

/// A frame as a client sends it, masked with zeros.
fn frame(first: u8, content: &[u8]) -> Vec<u8> {
    let mut frame = vec![first];
    match content.len() {
        len @ 0..126 => frame.push(0x80 | len as u8),
        len @ 126..=0xffff => {
            frame.push(0x80 | 126);
            frame.extend_from_slice(&(len as u16).to_be_bytes());
        }
        len => {
            frame.push(0x80 | 127);
            frame.extend_from_slice(&(len as u64).to_be_bytes());
        }
    }
    frame.extend_from_slice(&[0; 4]);
    frame.extend_from_slice(content);
    frame
}

/// What the gate makes of a stream, and the length of the last binary message.
async fn through(allowed: u64, frames: &[Vec<u8>]) -> (Vec<u8>, u64) {
    let bytes = frames.concat();
    let (mut client, server) = tokio::io::duplex(1000);
    let (mut gate, keeper) = Gate::new(server);
    keeper.allow(allowed);
    let mut out = Vec::new();
    let write = async {
        client.write_all(&bytes).await.unwrap();
        drop(client);
    };
    let (_, read) = tokio::join!(write, gate.read_to_end(&mut out));
    read.unwrap();
    (out, keeper.claimed())
}

#[tokio::test]
async fn what_is_due_passes_unchanged() {
    for size in [0, 1, 125, 126, 1000, PIECE_BYTES as usize] {
        let frames = [frame(0x81, b"a command"), frame(0x82, &vec![7; size]), frame(0x89, b"p")];
        let (out, claimed) = through(size as u64, &frames).await;
        assert!(out == frames.concat(), "{size}");
        assert_eq!(claimed, size as u64);
    }
}

#[tokio::test]
async fn a_long_content_passes_in_short_frames() {
    const PIECE: usize = PIECE_BYTES as usize;
    for size in [PIECE + 1, 2 * PIECE, 2 * PIECE + 125, 100_000] {
        let content: Vec<u8> = (0..size).map(|at| at as u8).collect();
        let mut pieces = content.chunks(PIECE).collect::<Vec<_>>();
        let last = frame(0x80, pieces.pop().unwrap());
        let mut expected = vec![frame(0x02, pieces.remove(0))];
        expected.extend(pieces.iter().map(|piece| frame(0x00, piece)));
        expected.extend([last, frame(0x89, b"p")]);
        let frames = [frame(0x82, &content), frame(0x89, b"p")];
        let (out, claimed) = through(size as u64, &frames).await;
        assert!(out == expected.concat(), "{size}");
        assert_eq!(claimed, size as u64);
    }
    // A part of a message, which another follows.
    let parts = [frame(0x02, &[1; PIECE + 1]), frame(0x80, &[2; PIECE + 1])];
    let expected =
        [frame(0x02, &[1; PIECE]), frame(0x00, &[1]), frame(0x00, &[2; PIECE]), frame(0x80, &[2])];
    let (out, _) = through(2 * PIECE_BYTES + 2, &parts).await;
    assert!(out == expected.concat());
}

/// Masks are not all zeros in life.
#[tokio::test]
async fn a_long_content_keeps_its_mask() {
    use futures_util::StreamExt as _;
    use tokio_tungstenite::WebSocketStream;
    use tokio_tungstenite::tungstenite::Message;
    use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
    let content: Vec<u8> = (0..100_000u32).map(|at| (at % 251) as u8).collect();
    let (client, server) = tokio::io::duplex(1000);
    let (gate, keeper) = Gate::new(server);
    keeper.allow(content.len() as u64);
    let config = Some(WebSocketConfig::default());
    let mut server = WebSocketStream::from_raw_socket(gate, Role::Server, config).await;
    let mut client = WebSocketStream::from_raw_socket(client, Role::Client, config).await;
    let send = futures_util::SinkExt::send(&mut client, Message::binary(content.clone()));
    let (sent, came) = tokio::join!(send, server.next());
    sent.unwrap();
    assert!(came.unwrap().unwrap() == Message::binary(content));
    assert_eq!(keeper.came(), 100_000);
}

#[tokio::test]
async fn what_is_not_due_arrives_empty() {
    for (allowed, size) in [(0, 1), (0, 70_000), (999, 1000)] {
        let frames = [frame(0x82, &vec![7; size]), frame(0x81, b"next")];
        let (out, claimed) = through(allowed, &frames).await;
        assert_eq!(out, [frame(0x82, b""), frame(0x81, b"next")].concat());
        assert_eq!(claimed, size as u64);
    }
    let long = vec![b'x'; MAX_COMMAND_BYTES as usize + 1];
    let (out, _) = through(0, &[frame(0x81, &long), frame(0x81, b"next")]).await;
    assert_eq!(out, [frame(0x81, b""), frame(0x81, b"next")].concat());
}

#[tokio::test]
async fn a_message_in_parts_counts_as_one() {
    let parts = [
        frame(0x02, &[1; 600]),
        frame(0x89, b"ping"),
        frame(0x00, &[2; 600]),
        frame(0x80, &[3; 9]),
    ];
    let (out, claimed) = through(1209, &parts).await;
    assert_eq!((out, claimed), (parts.concat(), 1209));
    let (out, claimed) = through(1200, &parts).await;
    let cut = [parts[0].clone(), parts[1].clone(), parts[2].clone(), frame(0x80, b"")];
    assert_eq!((out, claimed), (cut.concat(), 1209));
}

#[tokio::test]
async fn an_absurd_claim_needs_no_room() {
    let mut head = vec![0x82, 0xff];
    head.extend_from_slice(&u64::MAX.to_be_bytes());
    head.extend_from_slice(&[0; 4]);
    let (out, claimed) = through(5, &[head, vec![0; 3000]]).await;
    assert_eq!((out, claimed), (vec![], u64::MAX), "nothing of it is handed on");
}
