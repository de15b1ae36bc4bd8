//! What every blob store does: one suite, run on each of them.

use std::fs::File;
use std::path::Path;

use imgrepo_proto::BlobHash;

use super::BlobStore;
use super::files::FileBlobs;
use super::memory::MemoryBlobs;

fn place(store: &dyn BlobStore, scratch: &Path, content: &[u8]) -> BlobHash {
    let staged = scratch.join("staged");
    std::fs::write(&staged, content).unwrap();
    let hash = BlobHash(*blake3::hash(content).as_bytes());
    store.place(hash, &File::open(&staged).unwrap(), &staged).unwrap();
    assert!(!staged.exists());
    hash
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
    placed.sort();
    assert_eq!(all(), placed);

    // Again, over what is there.
    let hash = place(store, scratch, b"a");
    assert_eq!(read(store, hash).as_deref(), Some(&b"a"[..]));
    assert_eq!(all(), placed);

    // Ranges, and no further than the end.
    let big = store.open(BlobHash(*blake3::hash(&[3; 300_000]).as_bytes())).unwrap().unwrap();
    let mut tail = [0; 10];
    big.read_exact_at(&mut tail, 299_990).unwrap();
    assert_eq!(tail, [3; 10]);
    assert!(big.read_exact_at(&mut tail, 299_991).is_err());
    assert!(big.read_exact_at(&mut tail, u64::MAX).is_err());

    // Removed is gone, but not for who has it open.
    for hash in placed {
        store.remove(hash).unwrap();
        store.remove(hash).unwrap();
        assert!(store.open(hash).unwrap().is_none());
    }
    assert!(all().is_empty());
    big.read_exact_at(&mut tail, 0).unwrap();
}

#[test]
fn files_conform() {
    let scratch = tempfile::tempdir().unwrap();
    conforms(&FileBlobs::open(&scratch.path().join("blobs")).unwrap(), scratch.path());
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
    place(&store, scratch.path(), b"a");
    assert!(!FileBlobs::is_empty(scratch.path()).unwrap());
    assert!(FileBlobs::is_empty(&scratch.path().join("none")).unwrap());
}
