//! Cases, and a property over histories of writers, renames, changes and looks by chance.

use std::collections::{HashMap, HashSet};

use proptest::prelude::*;

use crate::watch::after::{Fate, fate};
use crate::watch::root::Entry;

use super::*;

const SETTLE: Duration = Duration::from_secs(2);

const TORN: Duration = Duration::from_secs(600);

fn stamp(number: i64, size: u64) -> Stamp {
    Stamp { device: 1, inode: 1, size, modified: (number, 0) }
}

fn look(number: i64, writer: Writer) -> Look {
    Look { stamp: stamp(number, 5), writer, renamed: false, torn: false }
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[test]
fn a_file_without_a_writer_is_taken_at_once() {
    let mut files = Unsettled::new(SETTLE, TORN);
    let now = Instant::now();
    assert_eq!(files.look(Path::new("a"), look(1, Writer::None), now), Verdict::Take);
    assert_eq!(files.next_due(), None);
}

#[test]
fn a_file_with_a_writer_is_never_taken_and_looked_at_ever_more_seldom() {
    let mut files = Unsettled::new(SETTLE, TORN);
    let mut now = Instant::now();
    let path = Path::new("a");
    let renamed = Look { renamed: true, ..look(1, Writer::Some) };
    assert_eq!(files.look(path, renamed, now), Verdict::Wait { is_news: true });
    let mut pauses = Vec::new();
    for _ in 0..7 {
        let due = files.next_due().unwrap();
        pauses.push((due - now).as_secs());
        now = due;
        assert_eq!(files.due(now, 9), [path]);
        let verdict = files.look(path, look(1, Writer::Some), now);
        assert_eq!(verdict, Verdict::Wait { is_news: false });
    }
    assert_eq!(pauses, [1, 2, 4, 8, 16, 30, 30]);
    // It goes on writing: looked at soon again.
    assert_eq!(files.look(path, look(2, Writer::Some), now), Verdict::Wait { is_news: true });
    assert_eq!(files.next_due(), Some(now + seconds(1)));
    assert_eq!(files.look(path, look(3, Writer::None), now), Verdict::Take);
}

#[test]
fn where_the_system_does_not_tell_it_must_stay_as_it_is() {
    let mut files = Unsettled::new(SETTLE, TORN);
    let start = Instant::now();
    let path = Path::new("a");
    let unknown = |number, after| (look(number, Writer::Unknown), start + seconds(after));
    let mut ask = |(look, now)| files.look(path, look, now);
    assert_eq!(ask(unknown(1, 0)), Verdict::Wait { is_news: true });
    assert_eq!(ask(unknown(1, 1)), Verdict::Wait { is_news: false });
    assert_eq!(ask(unknown(2, 2)), Verdict::Wait { is_news: true }, "it changed");
    assert_eq!(ask(unknown(2, 3)), Verdict::Wait { is_news: false });
    assert_eq!(ask(unknown(2, 4)), Verdict::Take);
    let renamed = Look { renamed: true, ..look(3, Writer::Unknown) };
    assert_eq!(ask((renamed, start + seconds(5))), Verdict::Take);
}

#[test]
fn a_torn_file_is_taken_when_it_is_whole_or_stays_as_it_is() {
    let mut files = Unsettled::new(SETTLE, TORN);
    let start = Instant::now();
    let path = Path::new("a");
    let torn = |number, writer| Look { torn: true, ..look(number, writer) };
    let news = |is_news| Verdict::Wait { is_news };
    let renamed = Look { renamed: true, ..torn(1, Writer::None) };
    assert_eq!(files.look(path, renamed, start), news(true));
    assert_eq!(files.next_due(), Some(start + TORN));
    let mut ask = |look, after| files.look(path, look, start + after);
    assert_eq!(ask(torn(1, Writer::Unknown), SETTLE), news(false));
    // It grows, is closed, and is torn still.
    assert_eq!(ask(torn(2, Writer::Some), seconds(60)), news(true));
    assert_eq!(ask(torn(2, Writer::None), seconds(90)), news(false));
    assert_eq!(ask(torn(2, Writer::None), seconds(60) + TORN - SETTLE), news(false));
    assert_eq!(ask(torn(2, Writer::None), seconds(60) + TORN), Verdict::Take);
    assert_eq!(ask(torn(3, Writer::None), seconds(900)), news(true));
    assert_eq!(ask(look(4, Writer::None), seconds(901)), Verdict::Take, "it is whole");
    // Who wants no such wait has none, but for the one that every file has.
    let mut files = Unsettled::new(SETTLE, Duration::ZERO);
    assert_eq!(files.look(path, torn(1, Writer::None), start), Verdict::Take);
    assert_eq!(files.look(path, torn(2, Writer::Unknown), start), news(true));
    assert_eq!(files.look(path, torn(2, Writer::Unknown), start + SETTLE), Verdict::Take);
}

#[test]
fn an_empty_file_is_given_time_to_be_filled() {
    let mut files = Unsettled::new(SETTLE, TORN);
    let start = Instant::now();
    let empty = Look { stamp: stamp(1, 0), writer: Writer::None, renamed: true, torn: false };
    let path = Path::new("a");
    assert_eq!(files.look(path, empty, start), Verdict::Wait { is_news: true });
    assert_eq!(files.look(path, empty, start + SETTLE), Verdict::Empty);
    assert_eq!(files.look(path, empty, start), Verdict::Wait { is_news: true });
    assert_eq!(files.look(path, look(2, Writer::None), start + seconds(1)), Verdict::Take);
}

#[test]
fn they_are_bounded() {
    let mut files = Unsettled::new(SETTLE, TORN);
    let now = Instant::now();
    for number in 0..MOST {
        let path = number.to_string();
        let verdict = files.look(Path::new(&path), look(1, Writer::Unknown), now);
        assert_eq!(verdict, Verdict::Wait { is_news: true });
    }
    assert!(!files.has_room());
    assert_eq!(files.look(Path::new("a"), look(1, Writer::Unknown), now), Verdict::Later);
    assert_eq!(files.look(Path::new("b"), look(1, Writer::None), now), Verdict::Take);
    let again = files.look(Path::new("7"), look(2, Writer::Unknown), now);
    assert_eq!(again, Verdict::Wait { is_news: true }, "it is one of them");
    files.forget(Path::new("7"));
    assert!(files.has_room());
}

/// Something that happens to one of three files.
#[derive(Debug, Clone)]
enum Happening {
    /// It is made, or opened for writing by a program.
    Open,
    /// Bytes are written, or all are taken away.
    Write(bool),
    /// Its program is killed: what it wrote has no end. Hinted at, or the hint is lost.
    Kill(bool),
    /// The program closes it, which is hinted at, or the hint is lost.
    Close(bool),
    /// Another file is renamed over it, torn or whole.
    Rename(bool),
    Delete,
    /// It comes under another user's hands, or back: the system does not tell of its writers.
    Hide,
    /// A scan comes by.
    Scan,
    /// The server's receipt for what was taken.
    Receipt,
    /// What has a receipt is put away.
    PutAway,
    /// Time goes by, and what is due is looked at.
    Wait(u16),
    /// Minutes go by.
    WaitLong(u8),
}

fn happening() -> impl Strategy<Value = (usize, Happening)> {
    use Happening::{
        Close, Delete, Hide, Kill, Open, PutAway, Receipt, Rename, Scan, Wait, WaitLong, Write,
    };
    let what = prop_oneof![
        3 => Just(Open),
        3 => any::<bool>().prop_map(Write),
        3 => any::<bool>().prop_map(Close),
        2 => any::<bool>().prop_map(Kill),
        1 => any::<bool>().prop_map(Rename),
        1 => Just(Delete),
        1 => Just(Hide),
        2 => Just(Scan),
        2 => Just(Receipt),
        2 => Just(PutAway),
        3 => (0..4_000u16).prop_map(Wait),
        1 => (0..8u8).prop_map(WaitLong),
    ];
    (0..3usize, what)
}

/// A file as it is in the world.
#[derive(Debug, Clone, Copy)]
struct Real {
    stamp: Stamp,
    is_written: bool,
    is_hidden: bool,
    is_torn: bool,
    changed_at: Instant,
}

/// A row of the queue.
#[derive(Debug, Clone, Copy)]
struct Row {
    stamp: Stamp,
    has_receipt: bool,
}

/// The files, the rows of the queue, and what was decided.
struct World {
    now: Instant,
    next: i64,
    files: HashMap<usize, Real>,
    rows: HashMap<usize, Row>,
    taken: HashSet<Stamp>,
    unsettled: Unsettled,
}

impl World {
    fn new() -> World {
        World {
            now: Instant::now(),
            next: 0,
            files: HashMap::new(),
            rows: HashMap::new(),
            taken: HashSet::new(),
            unsettled: Unsettled::new(SETTLE, TORN),
        }
    }

    fn stamp(&mut self, size: u64) -> Stamp {
        self.next += 1;
        stamp(self.next, size)
    }

    fn happen(&mut self, file: usize, what: &Happening) {
        let now = self.now;
        let size = if matches!(what, Happening::Write(false)) { 0 } else { 7 };
        match what {
            Happening::Open => {
                let stamp = self.stamp(0);
                let new = Real {
                    stamp,
                    is_written: true,
                    is_hidden: false,
                    is_torn: false,
                    changed_at: now,
                };
                self.files.entry(file).or_insert(new).is_written = true;
                self.look(file, false);
            }
            Happening::Write(_) => {
                let stamp = self.stamp(size);
                if let Some(real) = self.files.get_mut(&file).filter(|real| real.is_written) {
                    // On the way to its end.
                    (real.stamp, real.changed_at, real.is_torn) = (stamp, now, false);
                }
            }
            Happening::Kill(is_hinted) => {
                let stamp = self.stamp(size);
                if let Some(real) = self.files.get_mut(&file).filter(|real| real.is_written) {
                    (real.stamp, real.changed_at, real.is_torn) = (stamp, now, true);
                    real.is_written = false;
                }
                if *is_hinted {
                    self.look(file, false);
                }
            }
            Happening::Close(is_hinted) => {
                if let Some(real) = self.files.get_mut(&file) {
                    real.is_written = false;
                }
                if *is_hinted {
                    self.look(file, false);
                }
            }
            Happening::Rename(is_torn) => {
                let stamp = self.stamp(size);
                let new = Real {
                    stamp,
                    is_written: false,
                    is_hidden: false,
                    is_torn: *is_torn,
                    changed_at: now,
                };
                self.files.insert(file, new);
                self.look(file, true);
            }
            Happening::Delete => {
                self.files.remove(&file);
                self.look(file, false);
            }
            Happening::Hide => {
                if let Some(real) = self.files.get_mut(&file) {
                    real.is_hidden = !real.is_hidden;
                }
            }
            Happening::Scan => {
                for file in 0..3 {
                    self.look(file, false);
                }
            }
            Happening::Receipt => {
                if let Some(row) = self.rows.get_mut(&file) {
                    row.has_receipt = true;
                }
            }
            Happening::PutAway => self.put_away(file),
            Happening::Wait(ms) => self.wait(Duration::from_millis(u64::from(*ms))),
            Happening::WaitLong(minutes) => self.wait(seconds(60 * u64::from(*minutes))),
        }
    }

    fn wait(&mut self, so_long: Duration) {
        self.now += so_long;
        self.look_at_due();
    }

    fn look_at_due(&mut self) {
        for path in self.unsettled.due(self.now, 9) {
            self.look(path.to_str().unwrap().parse().unwrap(), false);
        }
    }

    fn look(&mut self, file: usize, renamed: bool) {
        let path = PathBuf::from(file.to_string());
        let Some(real) = self.files.get(&file).copied() else {
            self.rows.remove(&file);
            return self.unsettled.forget(&path);
        };
        if self.rows.get(&file).is_some_and(|row| row.stamp == real.stamp) {
            return;
        }
        let writer = match (real.is_hidden, real.is_written) {
            (true, _) => Writer::Unknown,
            (false, true) => Writer::Some,
            (false, false) => Writer::None,
        };
        let look = Look { stamp: real.stamp, writer, renamed, torn: real.is_torn };
        match self.unsettled.look(&path, look, self.now) {
            Verdict::Take => {
                assert_ne!(writer, Writer::Some, "a file with a writer was taken");
                assert!(real.stamp.size > 0, "an empty file was taken");
                let rests = real.changed_at + SETTLE <= self.now;
                assert!(writer == Writer::None || renamed || rests, "it had just changed");
                let stays = real.changed_at + TORN <= self.now;
                assert!(!real.is_torn || stays, "it has no end");
                assert!(self.taken.insert(real.stamp), "it was taken twice for one stamp");
                self.rows.insert(file, Row { stamp: real.stamp, has_receipt: false });
            }
            Verdict::Empty => {
                assert_eq!(real.stamp.size, 0);
                self.rows.insert(file, Row { stamp: real.stamp, has_receipt: false });
            }
            Verdict::Wait { .. } => {}
            Verdict::Later => panic!("three files are not too many"),
        }
    }

    fn put_away(&mut self, file: usize) {
        let Some(row) = self.rows.get(&file).filter(|row| row.has_receipt).copied() else { return };
        let there = self.files.get(&file).map(|real| Entry::File(real.stamp));
        if fate(&row.stamp, there) == Fate::PutAway {
            let gone = self.files.remove(&file).unwrap();
            assert_eq!(gone.stamp, row.stamp, "what the server does not have was removed");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(10_000))]

    #[test]
    fn whatever_happens_files_are_taken_whole_once_and_in_the_end(
        history in prop::collection::vec(happening(), 0..24),
    ) {
        let mut world = World::new();
        for (file, what) in &history {
            world.happen(*file, what);
        }
        // Then it is quiet: a scan, and what is due, bring everything to its end.
        for real in world.files.values_mut() {
            real.is_written = false;
        }
        world.happen(0, &Happening::Scan);
        let mut looks = 0;
        while let Some(due) = world.unsettled.next_due() {
            looks += 1;
            prop_assert!(looks < 20, "it does not end");
            world.now = world.now.max(due);
            world.look_at_due();
        }
        for (file, real) in &world.files {
            let row = world.rows.get(file);
            prop_assert!(row.is_some_and(|row| row.stamp == real.stamp), "a file was missed");
        }
    }
}
