//! Two links over a pipe in memory, with the clock in the tests' hands.

use bytes::Bytes;
use tokio::io::{AsyncWriteExt as _, DuplexStream};
use tokio_tungstenite::tungstenite::protocol::Role;

use super::writer::PART_BYTES;
use super::*;

async fn link(stream: DuplexStream, role: Role, settings: LinkSettings) -> (Outbox, Inbox) {
    let (stream, activity) = Watched::new(stream);
    let socket = WebSocketStream::from_raw_socket(stream, role, Some(settings.websocket())).await;
    open(socket, activity, settings)
}

async fn pair(settings: LinkSettings) -> ((Outbox, Inbox), (Outbox, Inbox)) {
    let (a, b) = tokio::io::duplex(64 * 1024);
    (link(a, Role::Client, settings).await, link(b, Role::Server, settings).await)
}

#[tokio::test]
async fn pieces_go_as_one_where_the_stream_can() {
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let (stream, accepted) = tokio::join!(
        tokio::net::TcpStream::connect(listener.local_addr().unwrap()),
        listener.accept()
    );
    let (mut stream, _activity) = Watched::new(stream.unwrap());
    let records = [b"one".as_slice(), b"two"].map(std::io::IoSlice::new);
    assert!(stream.is_write_vectored());
    assert_eq!(stream.write_vectored(&records).await.unwrap(), 6, "TLS hands records over so");
    drop(accepted);
}

#[tokio::test]
async fn text_overtakes_contents_and_both_arrive() {
    let ((out, _in), (_out, mut inbox)) = pair(LinkSettings::default()).await;
    let data = Bytes::from(vec![7; 200_000]);
    for _ in 0..4 {
        out.data(data.clone()).await.unwrap();
    }
    out.push("first".to_owned());
    out.close(1000, "done");
    let mut texts = Vec::new();
    let mut bytes = 0;
    let end = loop {
        match inbox.next().await {
            Ok(Incoming::Text(text)) => texts.push((bytes, text.to_string())),
            Ok(Incoming::Data(data)) => bytes += data.len(),
            Err(end) => break end,
        }
    };
    assert_eq!(bytes, 800_000);
    assert_eq!(texts.len(), 1);
    assert!(texts[0].0 < 800_000, "the text did not wait for all of the contents");
    assert_eq!(end.kind, EndKind::Closed(1000));
    assert_eq!(inbox.next().await, Err(end), "an end stays");
}

#[tokio::test]
async fn a_message_in_parts_arrives_whole_and_what_is_in_order_behind_it() {
    let ((out, _in), (_out, mut inbox)) = pair(LinkSettings::default()).await;
    out.part(Bytes::from_static(b"one "), true, false).await.unwrap();
    out.part(Bytes::from_static(b"message"), false, true).await.unwrap();
    out.in_order(|| None).await.unwrap();
    out.in_order(|| Some("behind it".to_owned())).await.unwrap();
    let data = Incoming::Data(Bytes::from_static(b"one message"));
    assert_eq!(inbox.next().await, Ok(data));
    assert_eq!(inbox.next().await, Ok(Incoming::Text("behind it".into())));
    out.part(Bytes::from_static(b"no text "), true, false).await.unwrap();
    out.push("after it".to_owned());
    out.part(Bytes::from_static(b"within"), false, true).await.unwrap();
    let data = Incoming::Data(Bytes::from_static(b"no text within"));
    let both = [inbox.next().await.unwrap(), inbox.next().await.unwrap()];
    assert!(both.contains(&data) && both.contains(&Incoming::Text("after it".into())));
}

#[tokio::test(start_paused = true)]
async fn a_quiet_peer_is_pinged_and_a_silent_one_dropped() {
    let settings = LinkSettings::default();
    let ((_out, mut here), (_peer_out, mut there)) = pair(settings).await;
    // The peer reads, so it answers pings: the link outlives many intervals.
    let start = tokio::time::Instant::now();
    let alive = tokio::time::timeout(settings.ping_every * 10, async {
        tokio::select! { end = here.next() => end, end = there.next() => end }
    });
    assert!(alive.await.is_err(), "both answer, so neither ends");
    // A pipe that nobody reads or writes is a peer that is gone.
    let (pipe, held) = tokio::io::duplex(1024);
    let (_out, mut inbox) = link(pipe, Role::Server, settings).await;
    let end = inbox.next().await.unwrap_err();
    assert_eq!(end.kind, EndKind::Silent);
    assert!(start.elapsed() < settings.ping_every * 14);
    drop(held);
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_does_not_read_is_dropped_and_holds_no_memory() {
    let settings = LinkSettings::default();
    let (pipe, mut held) = tokio::io::duplex(1024);
    let (out, mut inbox) = link(pipe, Role::Server, settings).await;
    // It goes on sending pongs, so it is not silent.
    let feeder = tokio::spawn(async move {
        use tokio::io::AsyncWriteExt as _;
        let mut seconds = tokio::time::interval(std::time::Duration::from_secs(1));
        loop {
            seconds.tick().await;
            // An unsolicited pong, masked with zeros.
            if held.write_all(&[0x8a, 0x80, 0, 0, 0, 0]).await.is_err() {
                return held;
            }
        }
    });
    let sender =
        tokio::spawn(
            async move { while out.data(Bytes::from(vec![0; 64 * 1024])).await.is_ok() {} },
        );
    let end = inbox.next().await.unwrap_err();
    assert_eq!(end.kind, EndKind::Stalled);
    sender.await.unwrap();
    inbox.finish().await;
    feeder.abort();
}

#[tokio::test]
async fn replies_that_nobody_reads_end_the_link() {
    let (pipe, _held) = tokio::io::duplex(1024);
    let (out, mut inbox) = link(pipe, Role::Server, LinkSettings::default()).await;
    for _ in 0..40 {
        out.push("x".repeat(64 * 1024));
    }
    assert_eq!(inbox.next().await.unwrap_err().kind, EndKind::Stalled);
    assert_eq!(out.send("late".to_owned()).await, Err(Closed));
}

#[tokio::test(start_paused = true)]
async fn a_message_beyond_the_limit_ends_the_link() {
    let ((out, _in), (_out, mut inbox)) = {
        let (a, b) = tokio::io::duplex(1 << 20);
        let large = LinkSettings { max_message_bytes: 1 << 20, ..LinkSettings::default() };
        (link(a, Role::Client, large).await, link(b, Role::Server, LinkSettings::default()).await)
    };
    out.data(Bytes::from(vec![0; 300_000])).await.unwrap();
    assert_eq!(inbox.next().await.unwrap_err().kind, EndKind::TooBig);
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_closes_and_takes_nothing_more_is_not_waited_for() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let (pipe, mut held) = tokio::io::duplex(1024);
    let (out, mut inbox) = link(pipe, Role::Server, LinkSettings::default()).await;
    // The answer to its close waits behind these, which it never reads.
    out.push("x".repeat(64 * 1024));
    held.read_exact(&mut [0; 100]).await.unwrap();
    // A close (1000), masked with zeros.
    held.write_all(&[0x88, 0x82, 0, 0, 0, 0, 0x03, 0xe8]).await.unwrap();
    let end = tokio::time::timeout(std::time::Duration::from_secs(300), inbox.next()).await;
    assert_eq!(end.expect("the end of the link").unwrap_err().kind, EndKind::Closed(1000));
}

#[tokio::test(start_paused = true)]
async fn who_takes_a_long_message_slowly_and_says_nothing_is_not_silent() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    const PART: usize = 64 * 1024;
    // A wire that carries 64 KiB a second towards the client.
    let (ours, wire) = tokio::io::duplex(PART);
    let (end, theirs) = tokio::io::duplex(PART);
    let (mut from_server, mut to_server) = tokio::io::split(wire);
    let (mut from_client, mut to_client) = tokio::io::split(end);
    let slow = tokio::spawn(async move {
        let mut bytes = vec![0; PART];
        while let Ok(read @ 1..) = from_server.read(&mut bytes).await {
            tokio::time::sleep(std::time::Duration::from_secs(1) * read as u32 / PART as u32).await;
            if to_client.write_all(&bytes[..read]).await.is_err() {
                return;
            }
        }
    });
    let back = tokio::spawn(async move { tokio::io::copy(&mut from_client, &mut to_server).await });
    let settings = LinkSettings { max_message_bytes: 100 * PART, ..LinkSettings::default() };
    let (out, mut here) = link(ours, Role::Server, settings).await;
    let (_out, mut there) = link(theirs, Role::Client, settings).await;
    let sending = async {
        for at in 0..100 {
            out.part(Bytes::from(vec![0; PART]), at == 0, at == 99).await.unwrap();
        }
        std::future::pending::<()>().await;
    };
    let taking = async {
        // It only ever answers pings.
        assert!(matches!(there.next().await, Ok(Incoming::Data(_))));
        there.next().await
    };
    let both = async {
        tokio::select! {
            end = here.next() => panic!("the link ended: {end:?}"),
            end = taking => panic!("the link ended: {end:?}"),
            () = sending => unreachable!(),
        }
    };
    assert!(tokio::time::timeout(std::time::Duration::from_secs(300), both).await.is_err());
    slow.abort();
    back.abort();
}

#[tokio::test(start_paused = true)]
async fn who_breaks_the_protocol_is_told_by_the_close() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    for (frame, code) in [
        // A text that is no UTF-8; a frame that is not masked; one of 1 TiB.
        (&[0x81, 0x81, 0, 0, 0, 0, 0xff][..], 1007u16),
        (&[0x81, 0x01, b'x'][..], 1002),
        (&[0x82, 0xff, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0][..], 1009),
    ] {
        let (pipe, mut peer) = tokio::io::duplex(1024);
        let (_out, mut inbox) = link(pipe, Role::Server, LinkSettings::default()).await;
        peer.write_all(frame).await.unwrap();
        let mut head = [0; 4];
        // Who drops the wait for the next message and waits again does not cut the close short.
        tokio::select! {
            biased;
            end = inbox.next() => panic!("too early: {end:?}"),
            read = peer.read_exact(&mut head) => { read.unwrap(); }
        }
        assert_eq!((head[0], u16::from_be_bytes([head[2], head[3]])), (0x88, code));
        drop(peer);
        let end = inbox.next().await.unwrap_err();
        let kind = if code == 1009 { EndKind::TooBig } else { EndKind::Protocol };
        assert_eq!(end.kind, kind);
    }
}

#[tokio::test]
async fn a_long_text_goes_in_parts_and_arrives_whole() {
    let large = LinkSettings { max_message_bytes: 1 << 20, ..LinkSettings::default() };
    let ((out, _in), (_out, mut inbox)) = pair(large).await;
    // Parts end within characters.
    let text = "日本".repeat(150_000);
    out.push(text.clone());
    out.push("next".to_owned());
    assert_eq!(inbox.next().await, Ok(Incoming::Text(text.into())));
    assert_eq!(inbox.next().await, Ok(Incoming::Text("next".into())));

    let (pipe, mut peer) = tokio::io::duplex(1024);
    let (out, _inbox) = link(pipe, Role::Server, large).await;
    out.push("x".repeat(PART_BYTES + 1));
    let mut head = [0; 10];
    tokio::io::AsyncReadExt::read_exact(&mut peer, &mut head).await.unwrap();
    assert_eq!(head[..2], [0x01, 127], "a part of a text");
    assert_eq!(head[2..], (PART_BYTES as u64).to_be_bytes());
}
