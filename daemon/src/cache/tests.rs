use super::*;

const EPOCH: SystemTime = SystemTime::UNIX_EPOCH;

fn key(of: u8, variant: Variant) -> Key {
    Key { hash: BlobHash([of; 32]), variant }
}

fn cache(folder: &Path, pipeline: u32, budget_bytes: u64) -> Cache {
    Cache::new(folder.join("variants"), pipeline, budget_bytes)
}

fn picture(of: u8, len: usize) -> Vec<u8> {
    (0..len).map(|at| (at as u8).wrapping_mul(of)).collect()
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = |path: &Path| fs::read_dir(path).into_iter().flatten().flatten();
    let folders = entries(&folder.join("variants"));
    let mut files: Vec<_> = folders
        .flat_map(|folder| entries(&folder.path()).collect::<Vec<_>>())
        .map(|file| file.path())
        .collect();
    files.sort();
    files
}

#[test]
fn what_is_kept_is_given_back_small_and_large() {
    let folder = tempfile::tempdir().unwrap();
    let cache = cache(folder.path(), 3, 1 << 20);
    assert!(cache.get(&key(1, Variant::Small), EPOCH).is_none());
    for (of, len) in [(1, 0), (2, 1), (3, 65_536), (4, 65_537), (5, 200_000)] {
        let (key, bytes) = (key(of, Variant::Display), picture(of, len));
        cache.put(&key, "image/jpeg", &bytes).unwrap();
        let kept = cache.get(&key, EPOCH).unwrap();
        assert_eq!((kept.media_type.as_str(), kept.size_bytes()), ("image/jpeg", len as u64));
        assert_eq!(kept.hash.0, *blake3::hash(&bytes).as_bytes());
        // What is open can be read to its end whatever becomes of the file.
        fs::remove_dir_all(cache.folder()).unwrap();
        assert_eq!(kept.bytes().unwrap(), bytes);
        if len > 7 {
            let mut end = [0; 5];
            kept.read_exact_at(&mut end, len as u64 - 5).unwrap();
            assert_eq!(end, bytes[len - 5..]);
            assert!(kept.read_exact_at(&mut end, len as u64 - 4).is_err());
        }
        assert!(cache.get(&key, EPOCH).is_none(), "the folder was deleted");
    }
}

#[test]
fn a_damaged_file_goes_and_is_not_given() {
    let folder = tempfile::tempdir().unwrap();
    let cache = cache(folder.path(), 3, 1 << 20);
    for len in [0, 10, 100_000] {
        let (key, bytes) = (key(1, Variant::Medium), picture(1, len));
        cache.put(&key, "image/png", &bytes).unwrap();
        let path = files(folder.path()).remove(0);
        let whole = fs::read(&path).unwrap();
        let head = whole.len() - len;
        let cuts =
            (0..head + len.min(20)).chain([whole.len() - 1]).filter(|cut| *cut < whole.len());
        for cut in cuts {
            fs::write(&path, &whole[..cut]).unwrap();
            assert!(cache.get(&key, EPOCH).is_none(), "cut at {cut}");
            assert!(!path.exists());
        }
        for at in (0..head - 9).chain((len > 0).then_some(whole.len() - 1)) {
            let mut bad = whole.clone();
            bad[at] ^= 1;
            fs::write(&path, &bad).unwrap();
            assert!(cache.get(&key, EPOCH).is_none(), "byte {at}");
        }
        let mut long = whole.clone();
        long.push(0);
        fs::write(&path, &long).unwrap();
        assert!(cache.get(&key, EPOCH).is_none());
    }
}

#[test]
fn the_oldest_used_go_first_when_the_budget_is_exceeded() {
    let folder = tempfile::tempdir().unwrap();
    let cache = cache(folder.path(), 3, 10_000);
    let now = SystemTime::now();
    let hours = |count: u64| Duration::from_secs(60 * 60 * count);
    for of in 1..=9 {
        cache.put(&key(of, Variant::Small), "image/jpeg", &picture(of, 1000)).unwrap();
        let path = cache.path(&key(of, Variant::Small));
        let file = OpenOptions::new().append(true).open(path).unwrap();
        file.set_modified(now - hours(20 - u64::from(of))).unwrap();
    }
    assert_eq!(cache.held_bytes(), Some(9 * 1056));
    // The oldest is looked at.
    assert!(cache.get(&key(1, Variant::Small), now).is_some());
    cache.put(&key(10, Variant::Small), "image/jpeg", &picture(10, 1000)).unwrap();
    let there: Vec<u8> = (1..=10).filter(|of| cache.has(&key(*of, Variant::Small))).collect();
    assert_eq!(there, [1, 4, 5, 6, 7, 8, 9, 10]);
    assert!(cache.held_bytes().unwrap() <= 10_000 / 8 * 7);
    // What exceeds the budget alone is not kept, and nothing goes for it.
    cache.put(&key(11, Variant::Small), "image/jpeg", &picture(11, 10_000)).unwrap();
    assert_eq!(files(folder.path()).len(), 8);
}

#[test]
fn what_is_no_picture_of_this_pipeline_is_garbage() {
    let folder = tempfile::tempdir().unwrap();
    let old = cache(folder.path(), 2, 1 << 20);
    old.put(&key(1, Variant::Small), "image/jpeg", b"old").unwrap();
    let stranger = folder.path().join("variants/01/stranger.txt");
    fs::write(&stranger, "x").unwrap();
    let torn = folder.path().join(format!("variants/01/{}.3.256.new", BlobHash([1; 32])));
    fs::write(&torn, "x").unwrap();
    let new = cache(folder.path(), 3, 1 << 20);
    assert!(!new.has(&key(1, Variant::Small)));
    new.put(&key(1, Variant::Small), "image/jpeg", b"new").unwrap();
    assert_eq!(files(folder.path()), [new.path(&key(1, Variant::Small))]);
    new.put(&key(1, Variant::Display), "image/jpeg", b"new").unwrap();
    new.forget(BlobHash([1; 32]));
    assert!(files(folder.path()).is_empty());
}

#[cfg(unix)]
#[test]
fn the_files_are_this_users_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let cache = cache(folder.path(), 3, 1 << 20);
    cache.put(&key(1, Variant::Small), "image/jpeg", b"x").unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let file = cache.path(&key(1, Variant::Small));
    assert_eq!((mode(&file), mode(cache.folder())), (0o600, 0o700));
}
