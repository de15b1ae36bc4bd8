//! Bytes below the messages: WebSocket frames, control frames and MessagePack that claim what is not
//! there. Against real processes, for what a lie costs is counted in their memory.

use std::io::{Read, Write as _};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use imgrepo_proto::control::{Hello, frame};
use imgrepo_proto::session::command::Program;

use crate::process::Daemon;

/// How much more memory all the lies of a test together may cost: a few buffers of each connection.
/// Believed, any one of them would cost more.
const MOST_BYTES: u64 = 64 * 1024 * 1024;

/// The most memory that this process has had.
fn peak(daemon: &Daemon) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", daemon.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
}

/// A WebSocket of this dialect, by hand.
fn upgraded(server: &Daemon, subprotocol: &str) -> TcpStream {
    let url = server.url();
    let host = url[5..].trim_end_matches('/');
    let mut stream = TcpStream::connect(host).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let request = format!(
        "GET / HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{subprotocol}\r\n"
    );
    stream.write_all(request.as_bytes()).unwrap();
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        assert_eq!(stream.read(&mut byte).unwrap(), 1, "{}", String::from_utf8_lossy(&head));
        head.push(byte[0]);
    }
    assert!(head.starts_with(b"HTTP/1.1 101"));
    stream
}

/// A frame's head: first byte, whether it is masked, and the length that it claims, in the form that
/// is asked for.
fn head(first: u8, masked: bool, form: u8, claimed: u64) -> Vec<u8> {
    let mask = if masked { 0x80 } else { 0 };
    let mut head = vec![first, mask | form];
    match form {
        126 => head.extend((claimed as u16).to_be_bytes()),
        127 => head.extend(claimed.to_be_bytes()),
        _ => {}
    }
    if masked {
        head.extend([0; 4]);
    }
    head
}

/// All that RFC 6455 does not have, and lengths that nobody sends.
fn lies() -> Vec<Vec<u8>> {
    let mut lies = Vec::new();
    for claimed in [1 << 20, 64 << 20, 1 << 30, 1 << 32, 1 << 40, 1 << 62, u64::MAX] {
        for first in [0x81, 0x82, 0x01, 0x02, 0x00, 0x80, 0x89, 0x88] {
            lies.push([head(first, true, 127, claimed), vec![b'{'; 4096]].concat());
        }
    }
    // Not masked; reserved bits; reserved opcodes; a short length in a long form; control frames that
    // are long or in pieces; a continuation of nothing; text that is no UTF-8; closes that are none.
    lies.push([head(0x81, false, 2, 0), b"{}".to_vec()].concat());
    for first in [0x91, 0xa1, 0xc1, 0xf1, 0x83, 0x87, 0x8b, 0x8f] {
        lies.push([head(first, true, 2, 0), b"{}".to_vec()].concat());
    }
    lies.push([head(0x81, true, 127, 2), b"{}".to_vec()].concat());
    lies.push([head(0x89, true, 126, 126), vec![0; 126]].concat());
    lies.push([head(0x09, true, 2, 0), vec![0; 2]].concat());
    lies.push([head(0x80, true, 2, 0), vec![0; 2]].concat());
    lies.push([head(0x81, true, 2, 0), vec![0xc3, 0x28]].concat());
    for code in [0_u16, 999, 1005, 1006, 5000, 65535] {
        lies.push([head(0x88, true, 2, 0), code.to_be_bytes().to_vec()].concat());
    }
    lies.push([head(0x88, true, 1, 0), vec![3]].concat());
    // A message in thousands of pieces, of which none is the last.
    lies.push([head(0x01, true, 1, 0), b"{".to_vec()].concat().repeat(1));
    let pieces = [head(0x00, true, 125, 0), vec![b' '; 125]].concat().repeat(20_000);
    lies.push([head(0x01, true, 1, 0), b"{".to_vec(), pieces].concat());
    lies
}

/// Whatever is answered, nothing more comes in the end.
fn comes_to_an_end(mut stream: impl Read) {
    let end = stream.read_to_end(&mut Vec::new());
    let is_over = |error: &std::io::Error| error.kind() != std::io::ErrorKind::WouldBlock;
    assert!(end.as_ref().map_or_else(is_over, |_| true), "it neither answers nor ends: {end:?}");
}

#[test]
fn frames_that_lie_cost_nothing() {
    let home = tempfile::tempdir().unwrap();
    let server = Daemon::serve(&home.path().join("home")).unwrap();
    drop(upgraded(&server, ""));
    let before = peak(&server);
    let mut open = Vec::new();
    for subprotocol in ["Sec-WebSocket-Protocol: imgrepo.v2\r\n", ""] {
        for lie in lies() {
            let mut stream = upgraded(&server, subprotocol);
            // Who is cut meanwhile has its answer.
            let _ = stream.write_all(&lie);
            // Many at once, as an attacker would: what one costs, they cost together.
            open.push(stream);
        }
    }
    for stream in open {
        let _ = stream.shutdown(std::net::Shutdown::Write);
        comes_to_an_end(stream);
    }
    let more = peak(&server).saturating_sub(before);
    println!("all frames that lie: {} KiB more at most", more / 1024);
    assert!(more < MOST_BYTES, "{more}");
    drop(upgraded(&server, ""));
    assert!(server.stop().success());
}

/// MessagePack that claims more than there is, or is deeper than anything said.
fn packed() -> Vec<Vec<u8>> {
    let mut lies: Vec<Vec<u8>> = [
        &[0xc1][..],
        // An array, a map, a text, bytes and an extension of 4 GiB.
        &[0xdd, 0xff, 0xff, 0xff, 0xff],
        &[0xdf, 0xff, 0xff, 0xff, 0xff],
        &[0xdb, 0xff, 0xff, 0xff, 0xff],
        &[0xc6, 0xff, 0xff, 0xff, 0xff],
        &[0xc9, 0xff, 0xff, 0xff, 0xff, 0],
        // A variant of ours around them.
        &[0x81, 0xa4, b'D', b'a', b't', b'a', 0xc6, 0xff, 0xff, 0xff, 0xff],
        &[0x81, 0xa4, b'D', b'a', b't', b'a', 0xdd, 0x7f, 0xff, 0xff, 0xff],
        &[0x81, 0xa4, b'd', b'a', b't', b'a', 0xc6, 0xff, 0xff, 0xff, 0xff],
        &[0x81, 0xa4, b'd', b'a', b't', b'a', 0xdd, 0x7f, 0xff, 0xff, 0xff],
        &[0x81, 0xa4, b'l', b'i', b's', b't', 0xdf, 0xff, 0xff, 0xff, 0xff],
    ]
    .map(<[u8]>::to_vec)
    .to_vec();
    for open in [&[0x91][..], &[0x81, 0xa1, b'a'], &[0x81, 0x91]] {
        lies.push(open.repeat(1_000_000 / open.len()));
    }
    lies
}

fn hello() -> Vec<u8> {
    let program = Program { name: "x".to_owned(), version: "0".to_owned() };
    frame::encode(&Hello { lowest: 1, highest: 1, program }).unwrap()
}

fn framed(bytes: &[u8]) -> Vec<u8> {
    [&(bytes.len() as u32).to_be_bytes()[..], bytes].concat()
}

fn socket(home: &Path) -> UnixStream {
    let stream = UnixStream::connect(home.join("run/control.sock")).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream
}

#[test]
fn control_frames_that_lie_cost_nothing() {
    let scene = tempfile::tempdir().unwrap();
    let home = scene.path().join("home");
    let server = Daemon::serve(&home).unwrap();
    let before = peak(&server);
    let mut says: Vec<Vec<u8>> = packed().iter().map(|lie| framed(lie)).collect();
    for claimed in [0, 1, 1 << 20, (1 << 20) + 1, 1 << 30, u32::MAX] {
        says.push([&u32::to_be_bytes(claimed)[..], &[0x80; 100]].concat());
    }
    let mut open = Vec::new();
    for say in &says {
        for before in [Vec::new(), hello()] {
            let mut stream = socket(&home);
            let _ = stream.write_all(&[before, say.clone()].concat());
            open.push(stream);
        }
    }
    for stream in open {
        let _ = stream.shutdown(std::net::Shutdown::Write);
        comes_to_an_end(stream);
    }
    let more = peak(&server).saturating_sub(before);
    println!("all control frames that lie: {} KiB more at most", more / 1024);
    assert!(more < MOST_BYTES, "{more}");

    // One of 1 GiB, sent as far as anybody takes it.
    let mut stream = socket(&home);
    stream.write_all(&[hello(), (1_u32 << 30).to_be_bytes().to_vec()].concat()).unwrap();
    let piece = vec![0xc0; 1 << 20];
    let taken = (0..1024).take_while(|_| stream.write_all(&piece).is_ok()).count();
    assert!(taken < 16, "{taken} MiB were taken");
    assert!(server.stop().success());
}
