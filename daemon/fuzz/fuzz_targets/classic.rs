//! The classic dialect, both sides of it, and the gate before its WebSocket: of what was not announced
//! nothing comes through, of what was all does, and the frames stay frames.

#![no_main]

use imgrepo_proto::session::v1::{Command, Reply};
use imgrepod::server::fuzzing_v1::through;
use libfuzzer_sys::fuzz_target;

/// The longest command that the gate lets through.
const COMMAND_BYTES: u64 = 16 * 1024;

fuzz_target!(|data: &[u8]| {
    if let Ok(text) = std::str::from_utf8(data) {
        codecs(text);
    }
    let Some((&first, data)) = data.split_first() else { return };
    let allowed = u64::from(first) * u64::from(first);
    let whole = through(data, allowed, 64 * 1024).expect("it waits for nothing");
    for step in [1, 7] {
        assert_eq!(through(data, allowed, step).as_ref(), Some(&whole), "{step} at a time");
    }
    // A head more for each 16 KiB, and never more than came.
    assert!(whole.bytes.len() <= data.len() + 14 * (1 + data.len() / 16_384));
    assert!(whole.came <= data.len() as u64);
    frames(&whole.bytes, allowed);
});

fn codecs(text: &str) {
    if let Ok(command) = Command::decode(text) {
        assert_eq!(Command::decode(&command.encode()), Ok(command));
    }
    if let Ok(reply) = Reply::decode(text)
        && !matches!(reply, Reply::Unreadable(_))
    {
        assert_eq!(Reply::decode(&reply.encode()).as_ref(), Ok(&reply));
    }
}

/// Reads frames as the WebSocket does, and counts what their messages have.
fn frames(mut bytes: &[u8], allowed: u64) {
    let mut is_binary = false;
    let mut count = 0u64;
    while let [first, second, rest @ ..] = bytes {
        let (len_bytes, short) = match second & 0x7f {
            126 => (2, 0),
            127 => (8, 0),
            short => (0, u64::from(short)),
        };
        let Some((field, rest)) = rest.split_at_checked(len_bytes) else { return };
        let long = field.iter().fold(0u64, |sum, byte| sum << 8 | u64::from(*byte));
        let len = if len_bytes == 0 { short } else { long };
        let Some((_, rest)) = rest.split_at_checked(if second & 0x80 == 0 { 0 } else { 4 }) else {
            return;
        };
        let opcode = first & 0x0f;
        if opcode < 8 {
            if opcode != 0 {
                (is_binary, count) = (opcode == 2, 0);
            }
            count = count.saturating_add(len);
            assert!(count <= if is_binary { allowed } else { COMMAND_BYTES });
        }
        // Cut where the stream was.
        let Some(rest) = usize::try_from(len).ok().and_then(|len| rest.get(len..)) else { return };
        bytes = rest;
    }
}
