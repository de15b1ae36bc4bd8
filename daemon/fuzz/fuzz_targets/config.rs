//! The configuration file, for a server and for a client: understood, or refused in words of one line.

#![no_main]

use std::ffi::OsString;
use std::sync::LazyLock;

use imgrepod::config::{Config, Flags, Remembered};
use libfuzzer_sys::fuzz_target;

/// In memory where there is such a place: it is written for every text.
static FILE: LazyLock<std::path::PathBuf> = LazyLock::new(|| {
    let shm = std::path::PathBuf::from("/dev/shm");
    let folder = if shm.is_dir() { shm } else { std::env::temp_dir() };
    folder.join(format!("imgrepo-fuzz-{}.toml", std::process::id()))
});

fuzz_target!(|data: &[u8]| {
    std::fs::write(&*FILE, data).expect("room for it");
    for serve in [false, true] {
        let flags = Flags { serve, ..Flags::default() };
        // Said elsewhere, so that no name of the file is looked up in the network.
        let var = |name: &str| (name == "IMGREPO_LISTEN").then(|| OsString::from("127.0.0.1:0"));
        if let Err(refusal) = Config::resolve(&flags, var, &Remembered::default(), &FILE) {
            assert!(!refusal.message.is_empty());
        }
    }
});
