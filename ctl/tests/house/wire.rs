//! A wire between a daemon and its server: passes on what it is allowed to, and counts.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;

/// What it may pass on from the server, and what it has.
#[derive(Default)]
struct Tally {
    allowed: u64,
    passed: u64,
}

/// A running wire; its threads end with the test's process.
pub(crate) struct Wire {
    pub(crate) url: String,
    tally: Arc<(Mutex<Tally>, Condvar)>,
}

impl Wire {
    /// Before the server of this `ws://HOST:PORT/`; nothing holds it back at first.
    pub(crate) fn new(server: &str) -> Self {
        let server = server.trim_start_matches("ws://").trim_end_matches('/').to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("ws://{}/", listener.local_addr().unwrap());
        let tally = Tally { allowed: u64::MAX, passed: 0 };
        let tally = Arc::new((Mutex::new(tally), Condvar::new()));
        let counted = Arc::clone(&tally);
        thread::spawn(move || {
            for near in listener.incoming().flatten() {
                let Ok(far) = TcpStream::connect(&server) else { continue };
                let (mut up, mut into) = (near.try_clone().unwrap(), far.try_clone().unwrap());
                thread::spawn(move || {
                    let _ = std::io::copy(&mut up, &mut into);
                    let _ = into.shutdown(std::net::Shutdown::Both);
                });
                let tally = Arc::clone(&counted);
                thread::spawn(move || down(far, near, &tally));
            }
        });
        Wire { url, tally }
    }

    /// From now on it passes on this many bytes from the server, and no more; counts from 0.
    pub(crate) fn allow(&self, bytes: u64) {
        *self.tally.0.lock().unwrap() = Tally { allowed: bytes, passed: 0 };
        self.tally.1.notify_all();
    }

    /// Waits until all that was allowed is over.
    pub(crate) fn spent(&self) {
        let tally = self.tally.0.lock().unwrap();
        drop(self.tally.1.wait_while(tally, |tally| tally.passed < tally.allowed).unwrap());
    }

    /// Bytes from the server since the last [`Wire::allow`].
    pub(crate) fn passed(&self) -> u64 {
        self.tally.0.lock().unwrap().passed
    }
}

fn down(mut far: TcpStream, mut near: TcpStream, tally: &(Mutex<Tally>, Condvar)) {
    let mut piece = vec![0; 16 * 1024];
    loop {
        let want = {
            let held = tally.0.lock().unwrap();
            let held = tally.1.wait_while(held, |held| held.passed >= held.allowed).unwrap();
            (held.allowed - held.passed).min(piece.len() as u64) as usize
        };
        match far.read(&mut piece[..want]) {
            Ok(count @ 1..) if near.write_all(&piece[..count]).is_ok() => {
                tally.0.lock().unwrap().passed += count as u64;
                tally.1.notify_all();
            }
            _ => break,
        }
    }
    let _ = near.shutdown(std::net::Shutdown::Both);
}
