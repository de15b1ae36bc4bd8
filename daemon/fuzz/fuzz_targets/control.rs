//! Every frame of the local socket, both ways. What is read is written and read alike, and a stream gives
//! the same frames however it is cut.

#![no_main]

use imgrepo_proto::control::frame::{self, Decoder, FrameError};
use imgrepo_proto::control::{Hello, Reply, Request};
use libfuzzer_sys::fuzz_target;
use serde::Serialize;
use serde::de::DeserializeOwned;

fuzz_target!(|data: &[u8]| {
    again::<Request>(data);
    again::<Reply>(data);
    again::<Hello>(data);
    if let Ok(hello) = frame::decode::<Hello>(data) {
        assert!(
            hello.common().is_none_or(|version| (hello.lowest..=hello.highest).contains(&version))
        );
    }
    let whole = frames(data, usize::MAX);
    for step in [1, 97] {
        assert_eq!(frames(data, step), whole);
    }
});

/// Compared by what is written: a number that is none is not equal to itself.
fn again<T: Serialize + DeserializeOwned>(data: &[u8]) {
    let Ok(value) = frame::decode::<T>(data) else { return };
    let said = frame::encode(&value).expect("what was read is written");
    let again: T = frame::decode(&said[4..]).expect("what is written is read");
    assert_eq!(frame::encode(&again).expect("as before"), said);
}

/// What a stream's frames are, as texts.
fn frames(mut data: &[u8], step: usize) -> Vec<String> {
    let mut decoder = Decoder::new();
    let mut frames = Vec::new();
    loop {
        match decoder.next::<Request>() {
            Ok(Some(request)) => frames.push(format!("{request:?}")),
            Err(FrameError::Unknown(why)) => frames.push(why),
            Err(error) => {
                frames.push(error.to_string());
                return frames;
            }
            Ok(None) if data.is_empty() => {
                frames.push(decoder.is_between_frames().to_string());
                return frames;
            }
            Ok(None) => {
                let space = decoder.space();
                let now = space.len().min(data.len()).min(step);
                space[..now].copy_from_slice(&data[..now]);
                decoder.filled(now);
                data = &data[now..];
            }
        }
    }
}
