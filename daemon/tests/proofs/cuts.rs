//! Large pictures go up and come down through a line that is cut again and again, at random points and
//! in every way that lines break. Each arrives whole and once, and after a cut at most one window is
//! sent again: counted on the line are the bytes of content that its sender gave to it a second time
//! on one connection, whether or not they had arrived the first time.
//!
//! `IMGREPO_CUTS` says how often; from 100 on the pictures have 100 MB.

use imgrepo_proto::control::Outcome;
use imgrepo_proto::limits::WINDOW_BYTES;
use imgrepo_proto::{ErrorCode, ImageId, Refusal};
use tokio::task::block_in_place;

use crate::control::{control, download, upload};
use crate::cutter::{Cutter, Mode};
use crate::picture::{Picture, Random, count};
use crate::process::Daemon;
use crate::session::V2;

/// One way of the whole proof.
#[derive(Debug, Default)]
struct Way {
    transfers: u64,
    bytes: u64,
    cuts: u64,
    resent: u64,
    most_again: u64,
    /// How often the daemon said that there is no session before a transfer had begun.
    begun_anew: u64,
}

impl Way {
    fn tell(&self, word: &str) {
        let mean = self.resent / self.cuts.max(1);
        println!(
            "{word}: {} transfers, {} bytes, {} cuts; sent again: {mean} bytes a cut, at most {} \
             of a window's {WINDOW_BYTES}; {} asked for again before they began",
            self.transfers, self.bytes, self.cuts, self.most_again, self.begun_anew
        );
    }
}

/// Carries out a transfer that waits for a session for 5 s only, until it has begun.
fn insist<T>(way: &mut Way, mut act: impl FnMut() -> Result<T, Refusal>) -> T {
    loop {
        match act() {
            Err(refusal) if refusal.code == ErrorCode::NotConnected && way.begun_anew < 1000 => {
                way.begun_anew += 1;
            }
            outcome => return outcome.unwrap_or_else(|refusal| panic!("it failed: {refusal}")),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn transfers_go_on_through_cuts_and_send_at_most_a_window_again() {
    let mut random = Random::from_environment();
    let goal = count("IMGREPO_CUTS", 25);
    let (size, every) = match goal {
        100.. => (100_000_000, 900_000),
        _ => (4_000_000, 350_000),
    };
    let directory = tempfile::tempdir().expect("a temporary directory");
    let server = Daemon::serve(&directory.path().join("server")).expect("a server");
    let cutter = Cutter::start(&server.url(), random.fork(), Mode::Cutting { every }).await;
    let home = directory.path().join("client");
    let daemon = block_in_place(|| Daemon::client(&home, &cutter.url, "ana")).expect("a daemon");
    let mut client = block_in_place(|| control(&home));
    let (mut up, mut down) = (Way::default(), Way::default());
    let mut pictures = Vec::<(ImageId, Picture)>::new();
    while cutter.counted().cuts < goal {
        let number = pictures.len();
        let extra = random.between(0, 100_000) as usize;
        let picture = Picture::new(format!("{number}.bmp"), random.next(), size + extra);
        let total = picture.size();

        cutter.expect(total, 0);
        let before = cutter.counted().cuts;
        let outcome =
            block_in_place(|| insist(&mut up, || upload(&mut client, directory.path(), &picture)));
        let Outcome::Stored { image, duplicate: false } = outcome else { panic!("{outcome:?}") };
        assert_eq!((image.hash, image.size), (Some(picture.hash), Some(total)));
        let counted = cutter.counted();
        assert_eq!(counted.up.reached, total, "all of it passed the line");
        up.add(total, counted.cuts - before, counted.up);

        cutter.expect(0, total);
        let before = counted.cuts;
        let (record, len, hash) =
            block_in_place(|| insist(&mut down, || download(&mut client, image.id)));
        assert_eq!((record, len, hash), (image.clone(), total, picture.hash));
        let counted = cutter.counted();
        down.add(total, counted.cuts - before, counted.down);
        pictures.push((image.id, picture));
        let path = directory.path().join(format!("{number}.bmp"));
        std::fs::remove_file(path).expect("the daemon does not take it away");
    }
    let counted = cutter.counted();
    let (cuts, at_the_end) = (counted.cuts, counted.at_the_end);
    println!("{cuts} cuts ({}), {at_the_end} after a last byte", counted.kinds());
    assert!(at_the_end > 0, "the test proves nothing of ends");
    for (way, word) in [(&up, "up"), (&down, "down")] {
        way.tell(word);
        assert!(way.most_again <= WINDOW_BYTES, "more than a window was sent again: {way:?}");
        assert!(way.resent <= way.cuts * WINDOW_BYTES, "{way:?}");
    }

    // Past the line: each is there once, and is what was sent.
    let session = V2::open(&server.url(), "checker").await.expect("a session");
    let listed = session.list().await.expect("a list");
    assert_eq!(listed.len(), pictures.len(), "{listed:?}");
    for (record, (id, picture)) in listed.iter().zip(&pictures) {
        assert_eq!(
            (record.id, &record.name, record.hash),
            (*id, &picture.name, Some(picture.hash))
        );
    }
    assert!(daemon.stop().success() && server.stop().success(), "both end in order");
}

impl Way {
    fn add(&mut self, bytes: u64, cuts: u64, tally: crate::wire::Tally) {
        self.transfers += 1;
        self.bytes += bytes;
        self.cuts += cuts;
        self.resent += tally.resent();
        self.most_again = self.most_again.max(tally.most_again);
    }
}
