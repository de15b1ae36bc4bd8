//! Data messages and their windows, and whatever bytes a peer sends in place of WebSocket frames: a link
//! gives bounded messages, or ends.

#![no_main]

use bytes::Bytes;
use imgrepo_proto::session::DataHeader;
use imgrepod::link::window::ReceiveWindow;
use imgrepod::link::{self, EndKind, Incoming, LinkSettings, Watched};
use libfuzzer_sys::fuzz_target;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::Role;

fuzz_target!(|data: &[u8]| {
    let message = Bytes::copy_from_slice(data);
    if let Ok((header, content)) = DataHeader::decode(message.clone()) {
        assert_eq!(header.message(&content), message);
    } else {
        assert!(data.len() < 12);
    }
    window(data);
    // Its clock stands still: the patience with a peer that does not answer costs nothing.
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_time().start_paused(true).build().expect("a runtime");
    for role in [Role::Server, Role::Client] {
        runtime.block_on(listen(data, role));
    }
});

/// A receiver takes each byte once, in order, none beyond the content or the window; and what it refuses
/// changes nothing.
fn window(data: &[u8]) {
    let Some((start, ops)) = data.split_at_checked(3) else { return };
    let [start, total, room] = [start[0], start[1], start[2]].map(u64::from);
    let (start, total) = (start.min(total), total * total);
    let mut window = ReceiveWindow::new(start, total, room);
    let mut acked = start;
    for op in ops.as_chunks::<4>().0 {
        let before = window;
        let near = window.expected().saturating_add_signed(i64::from(op[1] as i8));
        let offset = if op[0] & 2 == 0 { near } else { u64::from_le_bytes([op[1]; 8]) };
        if op[0] & 1 == 0 {
            window.acked(offset);
            acked = acked.max(offset.min(window.expected()));
            continue;
        }
        let len = usize::from(op[2]) << (op[3] & 7);
        match window.accept(offset, len) {
            Ok(held) => {
                let fresh = (len - held) as u64;
                assert_eq!(window.expected(), before.expected() + fresh);
                assert!(fresh == 0 || offset + held as u64 == before.expected());
            }
            Err(_) => assert_eq!(window, before),
        }
        assert!(
            window.expected() <= total
                && window.expected() <= acked.saturating_add(room).max(start)
        );
        assert_eq!(window.is_complete(), window.expected() == total);
    }
}

async fn listen(data: &[u8], role: Role) {
    let settings = LinkSettings { max_message_bytes: 1024, ..LinkSettings::default() };
    let (mut peer, stream) = tokio::io::duplex(data.len().max(64 * 1024));
    let (stream, activity) = Watched::new(stream);
    let socket = WebSocketStream::from_raw_socket(stream, role, Some(settings.websocket())).await;
    let (outbox, mut inbox) = link::open(socket, activity, settings);
    peer.write_all(data).await.expect("there is room");
    peer.shutdown().await.expect("nobody went");
    let end = loop {
        match inbox.next().await {
            Ok(Incoming::Text(text)) => assert!(text.len() <= settings.max_message_bytes),
            Ok(Incoming::Data(data)) => assert!(data.len() <= settings.max_message_bytes),
            Err(end) => break end,
        }
    };
    assert_eq!(inbox.next().await, Err(end.clone()), "an end stays");
    assert!(outbox.is_closed() && !end.message.is_empty());
    assert!(!end.message.chars().any(imgrepo_proto::name::is_unsafe_to_show), "{end:?}");
    assert!(!matches!(end.kind, EndKind::Dropped | EndKind::Stalled), "{end:?}");
    inbox.finish().await;
    // What it said itself is frames of the control kind alone.
    let mut said = Vec::new();
    peer.read_to_end(&mut said).await.expect("the link let go of it");
    assert!(said.first().is_none_or(|first| matches!(first, 0x88..=0x8a)), "{said:02x?}");
}
