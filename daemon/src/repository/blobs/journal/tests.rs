//! The journal over its whole life: read while it waits, settled, replayed after any end, bounded,
//! and never in the way of a removal.

use std::path::Path;

use super::*;

fn content(seed: u64, size: usize) -> (BlobHash, Bytes) {
    let mut bytes = seed.to_le_bytes().repeat(size.div_ceil(8));
    bytes.truncate(size);
    (BlobHash(*blake3::hash(&bytes).as_bytes()), bytes.into())
}

fn contents(seeds: std::ops::Range<u64>, size: usize) -> Vec<(BlobHash, Bytes)> {
    seeds.map(|seed| content(seed, size)).collect()
}

fn open(data: &Path) -> DiskBlobs {
    DiskBlobs::open(&data.join("blobs"), &data.join("journal"), 0, &|_| Ok(true)).unwrap()
}

/// One whose settler has ended, so that a test can do the steps itself.
fn unsettled(data: &Path) -> DiskBlobs {
    let store = open(data);
    store.close();
    lock(&store.shared.state).is_closing = false;
    store
}

fn settler(store: &DiskBlobs) -> settle::Settler {
    settle::Settler { shared: store.shared.clone(), growing: store.growing.clone() }
}

fn read(store: &DiskBlobs, hash: BlobHash) -> Option<Vec<u8>> {
    let blob = store.open(hash).unwrap()?;
    let mut bytes = vec![0; usize::try_from(blob.size_bytes()).unwrap()];
    blob.read_exact_at(&mut bytes, 0).unwrap();
    Some(bytes)
}

fn holds(store: &DiskBlobs, contents: &[(BlobHash, Bytes)]) {
    for (hash, bytes) in contents {
        assert_eq!(read(store, *hash).as_deref(), Some(&bytes[..]));
    }
}

/// The files in the journal's directory.
fn segments(data: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(data.join("journal")).unwrap();
    entries.map(|entry| entry.unwrap().path()).collect()
}

fn placed(data: &Path, hash: BlobHash) -> bool {
    data.join("blobs").join(format!("{:02x}", hash.0[0])).join(hash.to_string()).exists()
}

/// What another process would find if this one ended now.
fn copy(from: &Path) -> tempfile::TempDir {
    fn copy_directory(from: &Path, to: &Path) {
        fs::create_dir_all(to).unwrap();
        for entry in fs::read_dir(from).unwrap() {
            let entry = entry.unwrap();
            match entry.file_type().unwrap().is_dir() {
                true => copy_directory(&entry.path(), &to.join(entry.file_name())),
                false => drop(fs::copy(entry.path(), to.join(entry.file_name())).unwrap()),
            }
        }
    }
    let to = tempfile::tempdir().unwrap();
    copy_directory(from, to.path());
    to
}

#[test]
fn contents_are_placed_in_the_end_and_the_journal_is_empty() {
    let data = tempfile::tempdir().unwrap();
    let store = open(data.path());
    let all = contents(0..200, 3000);
    for group in all.chunks(7) {
        store.append(group).unwrap();
        holds(&store, group);
    }
    // Open at the journal, read after it is gone.
    let waiting = store.open(all[0].0).unwrap().unwrap();
    store.close();
    assert!(segments(data.path()).is_empty());
    assert!(all.iter().all(|(hash, _)| placed(data.path(), *hash)));
    holds(&store, &all);
    let mut first = [0; 3000];
    waiting.read_exact_at(&mut first, 0).unwrap();
    assert_eq!(first[..], all[0].1[..]);
}

#[test]
fn the_next_start_finds_what_the_last_one_left_at_any_step() {
    let data = tempfile::tempdir().unwrap();
    let store = unsettled(data.path());
    let all = contents(0..100, 2000);
    let (first, second) = all.split_at(50);
    store.append(first).unwrap();
    let after_first = copy(data.path());
    store.append(second).unwrap();
    let after_second = copy(data.path());
    // Half of it is placed, and the segment is still there.
    let settler = settler(&store);
    assert!(settler.step_for_tests());
    let half_settled = copy(data.path());
    assert_eq!(all.iter().filter(|(hash, _)| placed(data.path(), *hash)).count(), 64);
    fs::write(half_settled.path().join("journal").join("x.staged"), b"x").unwrap();
    while settler.step_for_tests() {}
    let settled = copy(data.path());
    for (left, expected) in [
        (after_first, first),
        (after_second, &all[..]),
        (half_settled, &all[..]),
        (settled, &all[..]),
    ] {
        let store = open(left.path());
        holds(&store, expected);
        let more = contents(1000..1010, 500);
        store.append(&more).unwrap();
        holds(&store, &more);
        // It may end in the same way.
        let again = copy(left.path());
        drop(store);
        assert!(segments(left.path()).is_empty());
        let store = open(again.path());
        holds(&store, expected);
        holds(&store, &more);
    }
}

#[test]
fn a_start_forgets_what_no_image_has() {
    let data = tempfile::tempdir().unwrap();
    let store = open(data.path());
    let all = contents(0..20, 2000);
    store.append(&all).unwrap();
    let left = copy(data.path());
    let wanted = all[3].0;
    let (blobs, journal) = (left.path().join("blobs"), left.path().join("journal"));
    let store = DiskBlobs::open(&blobs, &journal, 0, &|hash| Ok(hash == wanted)).unwrap();
    assert_eq!(read(&store, wanted).as_deref(), Some(&all[3].1[..]));
    assert_eq!(read(&store, all[4].0), None);
    drop(store);
    assert!(placed(left.path(), wanted) && !placed(left.path(), all[4].0));
    let left = copy(data.path());
    let (blobs, journal) = (left.path().join("blobs"), left.path().join("journal"));
    drop(DiskBlobs::open(&blobs, &journal, 0, &|_| Ok(false)).unwrap());
    assert!(segments(left.path()).is_empty());
    // Who cannot tell must not drop anything.
    let left = copy(data.path());
    let (blobs, journal) = (left.path().join("blobs"), left.path().join("journal"));
    let unknown = |_| Err(io::ErrorKind::Other.into());
    assert!(DiskBlobs::open(&blobs, &journal, 0, &unknown).is_err());
    assert!(!DiskBlobs::is_empty(&blobs, &journal).unwrap());
    holds(&open(left.path()), &all);
}

#[test]
fn segments_end_and_the_journal_is_bounded() {
    let data = tempfile::tempdir().unwrap();
    let store = unsettled(data.path());
    let settler = settler(&store);
    // Tiny ones, which count for more than they are.
    let most = JOURNAL_BYTES / LEAST_COST_BYTES;
    let all = contents(0..most, 8);
    for group in all.chunks(256) {
        assert!(store.wants_appends());
        store.append(group).unwrap();
    }
    assert!(!store.wants_appends());
    assert_eq!(segments(data.path()).len() as u64, JOURNAL_BYTES / SEGMENT_BYTES);
    // With the first segment gone there is room again, and the others are as they were.
    let (first, others) = all.split_at((SEGMENT_BYTES / LEAST_COST_BYTES) as usize);
    for (hash, _) in first {
        store.remove(*hash).unwrap();
    }
    assert!(settler.step_for_tests());
    assert!(store.wants_appends());
    assert_eq!(segments(data.path()).len() as u64, JOURNAL_BYTES / SEGMENT_BYTES - 1);
    holds(&store, others);
    for (hash, _) in others {
        store.remove(*hash).unwrap();
    }
    while settler.step_for_tests() {}
    assert!(segments(data.path()).is_empty());
}

#[test]
fn what_is_removed_while_it_settles_stays_away() {
    let data = tempfile::tempdir().unwrap();
    let store = unsettled(data.path());
    let settler = settler(&store);
    std::thread::scope(|scope| {
        let settling = scope.spawn(|| {
            while !lock(&store.shared.state).is_closing {
                settler.step_for_tests();
            }
        });
        for round in 0..300 {
            let group = contents(round % 7..round % 7 + 3, 1000);
            store.append(&group).unwrap();
            store.remove(group[0].0).unwrap();
            assert_eq!(read(&store, group[0].0), None, "round {round}");
            holds(&store, &group[1..]);
            for (hash, _) in &group[1..] {
                store.remove(*hash).unwrap();
                assert_eq!(read(&store, *hash), None, "round {round}");
            }
        }
        lock(&store.shared.state).is_closing = true;
        settling.join().unwrap();
    });
    while settler.step_for_tests() {}
    assert!(segments(data.path()).is_empty());
    for hash in contents(0..10, 1000).iter().map(|(hash, _)| *hash) {
        assert!(!placed(data.path(), hash));
    }
}

#[test]
fn a_flipped_bit_of_a_head_is_found_before_it_costs_what_follows_it() {
    let data = tempfile::tempdir().unwrap();
    let store = unsettled(data.path());
    let all = contents(0..5, 700);
    store.append(&all).unwrap();
    assert!(store.inspect().is_empty());
    let segment = segments(data.path()).remove(0);
    let whole = fs::read(&segment).unwrap();
    for bit in 0..8 * usize::try_from(HEADER_BYTES).unwrap() {
        let mut flipped = whole.clone();
        flipped[748 * 2 + bit / 8] ^= 1 << (bit % 8);
        fs::write(&segment, &flipped).unwrap();
        let told = store.inspect();
        assert_eq!(told.len(), 1, "bit {bit}");
        assert!(told[0].contains(&all[2].0.to_string()));
    }
    fs::write(&segment, &whole).unwrap();
    assert!(store.inspect().is_empty());
    fs::write(&segment, &whole[..whole.len() - 10]).unwrap();
    let short = (all[4].0, 690);
    assert!(store.sizes(all[4].0.0[0]).unwrap().contains(&short));
}
