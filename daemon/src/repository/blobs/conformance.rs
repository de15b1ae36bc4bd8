//! What every blob store does: one suite, run on each of them.

use std::path::{Path, PathBuf};

use bytes::Bytes;
use imgrepo_proto::BlobHash;

use super::BlobStore;
use super::files::FileBlobs;
use super::journal::DiskBlobs;
use super::memory::MemoryBlobs;

fn hash(content: &[u8]) -> BlobHash {
    BlobHash(*blake3::hash(content).as_bytes())
}

fn stage(scratch: &Path, content: &[u8]) -> PathBuf {
    let staged = scratch.join("staged");
    std::fs::write(&staged, content).unwrap();
    staged
}

fn place(store: &dyn BlobStore, scratch: &Path, content: &[u8]) -> BlobHash {
    let staged = stage(scratch, content);
    store.place(hash(content), &staged).unwrap();
    assert!(!staged.exists());
    hash(content)
}

fn read(store: &dyn BlobStore, hash: BlobHash) -> Option<Vec<u8>> {
    let blob = store.open(hash).unwrap()?;
    let mut content = vec![0; usize::try_from(blob.size_bytes()).unwrap()];
    blob.read_exact_at(&mut content, 0).unwrap();
    Some(content)
}

fn conforms(store: &dyn BlobStore, scratch: &Path) {
    let all =
        || -> Vec<BlobHash> { (0..=u8::MAX).flat_map(|byte| store.slice(byte).unwrap()).collect() };
    let unknown = BlobHash([7; 32]);
    assert!(store.open(unknown).unwrap().is_none());
    store.remove(unknown).unwrap();
    assert!(all().is_empty());

    let mut placed: Vec<BlobHash> = [&b""[..], b"a", &[3; 300_000]]
        .into_iter()
        .map(|content| {
            let hash = place(store, scratch, content);
            assert_eq!(read(store, hash).as_deref(), Some(content));
            hash
        })
        .collect();
    // Appended: none, some, one twice at once, one that was placed, one that was appended.
    assert!(store.wants_appends());
    for group in [&[][..], &[b"b", b"c", b"b"], &[b"a", b"c"]] {
        let group: Vec<_> = group.iter().map(|content| small(*content)).collect();
        store.append(&group).unwrap();
        for (hash, content) in group {
            assert_eq!(read(store, hash).as_deref(), Some(&content[..]));
        }
    }
    placed.extend([hash(b"b"), hash(b"c")]);
    placed.sort();
    assert_eq!(all(), placed);

    // Again, over what is there.
    place(store, scratch, b"a");
    assert_eq!(read(store, hash(b"a")).as_deref(), Some(&b"a"[..]));
    assert_eq!(all(), placed);

    // As the disk has them.
    let mut sized: Vec<(BlobHash, u64)> =
        (0..=u8::MAX).flat_map(|byte| store.sizes(byte).unwrap()).collect();
    sized.sort_unstable();
    let sizes = |hash: &BlobHash| (*hash, read(store, *hash).unwrap().len() as u64);
    assert_eq!(sized, placed.iter().map(sizes).collect::<Vec<_>>());
    for hash in &placed {
        let mut heard = 0;
        let mut goes_on = |bytes| {
            heard += bytes;
            true
        };
        let anew = store.hash_anew(*hash, &mut goes_on).unwrap().unwrap();
        assert_eq!((anew.hash, anew.bytes), (*hash, heard));
        assert_eq!(sizes(hash).1, heard);
    }
    assert!(store.hash_anew(unknown, &mut |_| true).unwrap().is_none());
    assert!(store.inspect().is_empty());

    // Moved aside, whole, and back again.
    for (seed, hash) in placed.iter().enumerate() {
        let (content, aside) = (read(store, *hash).unwrap(), scratch.join(format!("aside{seed}")));
        assert!(store.set_aside(*hash, &aside).unwrap());
        assert_eq!(std::fs::read(&aside).unwrap(), content);
        // Below one in the journal there may be one in its place.
        let below = store.set_aside(*hash, &scratch.join(format!("below{seed}"))).unwrap();
        assert!(!below || content == b"a");
        assert!(store.open(*hash).unwrap().is_none());
        assert!(!store.set_aside(*hash, &scratch.join("none")).unwrap());
        place(store, scratch, &content);
    }
    assert_eq!(all(), placed);
    store.append(&[small(b"c")]).unwrap();

    // Ranges, and no further than the end.
    let big = store.open(hash(&[3; 300_000])).unwrap().unwrap();
    let appended = store.open(hash(b"c")).unwrap().unwrap();
    let mut tail = [0; 10];
    assert!(appended.read_exact_at(&mut tail[..2], 0).is_err());
    assert!(appended.read_exact_at(&mut tail[..1], 1).is_err());
    assert!(appended.read_exact_at(&mut tail[..1], u64::MAX).is_err());
    big.read_exact_at(&mut tail, 299_990).unwrap();
    assert_eq!(tail, [3; 10]);
    assert!(big.read_exact_at(&mut tail, 299_991).is_err());
    assert!(big.read_exact_at(&mut tail, u64::MAX).is_err());

    // How much is at hand is the system's affair, but not which bytes, nor where they end.
    for (blob, byte, offset, most) in
        [(&big, 3, 299_995, 5), (&big, 3, 0, 10), (&appended, b'c', 0, 1), (&big, 3, u64::MAX, 0)]
    {
        tail = [0; 10];
        let had = blob.read_at_once(&mut tail, offset);
        assert!(had <= most, "{had} of {most}");
        assert!(tail[..had].iter().all(|read| *read == byte));
    }
    assert_eq!(appended.read_at_once(&mut tail, 1), 0);

    // Removed is gone, but not for who has it open.
    for hash in placed {
        store.remove(hash).unwrap();
        store.remove(hash).unwrap();
        assert!(store.open(hash).unwrap().is_none());
    }
    assert!(all().is_empty());
    big.read_exact_at(&mut tail, 0).unwrap();
    appended.read_exact_at(&mut tail[..1], 0).unwrap();

    // Gone and back again.
    store.append(&[small(b"b")]).unwrap();
    assert_eq!(all(), [hash(b"b")]);
    store.close();
    assert_eq!(read(store, hash(b"b")).as_deref(), Some(&b"b"[..]));
    assert_eq!(all(), [hash(b"b")]);
}

fn small(content: &[u8]) -> (BlobHash, Bytes) {
    (hash(content), Bytes::copy_from_slice(content))
}

#[test]
fn the_disk_conforms() {
    let scratch = tempfile::tempdir().unwrap();
    let (blobs, journal) = (scratch.path().join("blobs"), scratch.path().join("journal"));
    conforms(&DiskBlobs::open(&blobs, &journal, 0, &|_| Ok(true)).unwrap(), scratch.path());
}

#[test]
fn memory_conforms() {
    let scratch = tempfile::tempdir().unwrap();
    conforms(&MemoryBlobs::new(), scratch.path());
}

#[test]
fn files_leave_alone_what_is_not_theirs() {
    let scratch = tempfile::tempdir().unwrap();
    let store = FileBlobs::open(scratch.path()).unwrap();
    std::fs::write(scratch.path().join("ab").join(".DS_Store"), b"x").unwrap();
    assert!(store.slice(0xab).unwrap().is_empty());
    assert!(FileBlobs::is_empty(scratch.path()).unwrap());
    let staged = stage(scratch.path(), b"a");
    store.place(hash(b"a"), &staged).unwrap();
    assert!(!FileBlobs::is_empty(scratch.path()).unwrap());
    assert!(FileBlobs::is_empty(&scratch.path().join("none")).unwrap());
}

#[test]
fn a_file_is_placed_over_itself() {
    let scratch = tempfile::tempdir().unwrap();
    let store = FileBlobs::open(scratch.path()).unwrap();
    let (staged, kept) = (stage(scratch.path(), b"a"), scratch.path().join("kept"));
    std::fs::hard_link(&staged, &kept).unwrap();
    for name in [&staged, &kept] {
        store.place(hash(b"a"), name).unwrap();
        assert!(!name.exists());
        let blob = store.open_blob(hash(b"a")).unwrap().unwrap();
        assert_eq!(blob.size_bytes(), 1);
    }
}
