//! The old system's folder: what an import takes and leaves out, and that it can be run again.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use imgrepo_proto::session::EventKind;
use imgrepo_proto::session::command::{List, Target};
use imgrepo_proto::{ErrorCode, ImageId, ImageRecord, Seq};
use imgrepod::repository::Repository;
use imgrepod::repository::classic::{Folder, ImportSummary, LeftOut};
use jiff::tz::TimeZone;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::support::{delete, guest, image, open, purge, read, upload};

pub(crate) fn recife() -> TimeZone {
    TimeZone::fixed(jiff::tz::offset(-3))
}

pub(crate) async fn import(repository: &Repository, folder: &Path) -> ImportSummary {
    let folder = Folder::open(folder, &recife()).unwrap();
    repository.import_classic(folder, &mut |_| ()).await.unwrap()
}

/// An entry, and the file that it names where there is a content.
pub(crate) struct Old {
    folder: TempDir,
    pub(crate) entries: Vec<Value>,
}

impl Old {
    pub(crate) fn new() -> Old {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("imagens")).unwrap();
        Old { folder, entries: Vec::new() }
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn add(&mut self, id: u64, name: &str, uploader: &str, content: &[u8]) {
        let path = format!("imagens/{id}_{name}");
        fs::write(self.path().join(&path), content).unwrap();
        self.entries.push(json!({"id": id, "filename": name, "uploader": uploader, "path": path,
            "thumb_path": null, "timestamp": format!("2024-05-01T12:00:{:02}.5", id % 60)}));
    }

    pub(crate) fn write(&self) {
        let text = serde_json::to_string_pretty(&self.entries).unwrap();
        fs::write(self.path().join("metadata.json"), text).unwrap();
    }

    async fn import(&self, repository: &Repository) -> ImportSummary {
        self.write();
        import(repository, self.path()).await
    }
}

async fn listed(repository: &Repository) -> Vec<ImageRecord> {
    let mut all = Vec::new();
    let mut list = List::default();
    loop {
        let page = repository.list(&repository.owner(), list.clone()).await.unwrap();
        all.extend(page.images);
        match page.next {
            Some(next) => list.cursor = Some(next),
            None => break,
        }
    }
    all.sort_by_key(|image| image.id);
    all
}

pub(crate) fn sample() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/classic")
}

#[tokio::test]
async fn a_frozen_folder_of_the_old_server_is_taken_for_ever() {
    let data = tempfile::tempdir().unwrap();
    let repository = open(data.path());
    let summary = import(&repository, &sample()).await;
    assert_eq!(summary, ImportSummary { imported: 3, ..ImportSummary::default() });
    let told: Vec<_> = listed(&repository)
        .await
        .into_iter()
        .map(|image| {
            let at = image.uploaded_at.unwrap().to_string();
            (image.id.0, image.name, image.uploader, at)
        })
        .collect();
    let ana = |id, at: &str| (id, "plain.gif".to_owned(), "ana".to_owned(), at.to_owned());
    let joao = (2, "férias.png".to_owned(), "joão".to_owned(), "2024-05-01T15:34:56Z".to_owned());
    assert_eq!(told, [ana(1, "2024-05-01T15:34:56.789Z"), joao, ana(3, "2024-05-01T12:51:30.25Z")]);
    let target = Target::id(ImageId(2));
    let content = read(&repository, &repository.owner(), &target).await.unwrap();
    assert_eq!(content, fs::read(sample().join("imagens/2_férias.png")).unwrap());

    // Who follows hears of each, and of nothing when it is run again.
    let again = import(&repository, &sample()).await;
    assert_eq!(again, ImportSummary { present: 3, ..ImportSummary::default() });
    let events = repository.events(Seq(0), 100).await.unwrap().events;
    let seqs: Vec<_> = events.iter().map(|event| event.seq.unwrap().0).collect();
    assert_eq!(seqs, [1, 2, 3]);
    assert!(events.iter().all(|event| event.event == EventKind::NewUpload));
    assert_eq!(events[1].by.as_deref(), Some("joão"));
}

#[tokio::test]
async fn nobody_becomes_an_imported_person_by_a_name() {
    let data = tempfile::tempdir().unwrap();
    let repository = open(data.path());
    import(&repository, &sample()).await;
    let ana = guest(&repository, "ana").await;
    let refusal = delete(&repository, &ana, 1).await.unwrap_err();
    assert_eq!(refusal.code, ErrorCode::Denied);
    delete(&repository, &repository.owner(), 1).await.unwrap();
}

#[tokio::test]
async fn what_cannot_be_taken_is_left_out_with_its_reason_and_the_rest_is_taken() {
    let outside = tempfile::tempdir().unwrap();
    fs::write(outside.path().join("secret"), image(99, 100)).unwrap();
    let mut old = Old::new();
    old.add(1, "good.ppm", "ana", &image(1, 1000));
    old.add(2, "text.jpg", "ana", b"not an image at all");
    old.add(3, "gone.ppm", "ana", &image(3, 1000));
    old.add(4, "empty.ppm", "ana", b"");
    old.add(5, "link.ppm", "ana", b"");
    old.add(6, "out.ppm", "ana", &image(6, 1000));
    old.add(7, "large.ppm", "ana", &image(7, 3_000_000));
    old.add(8, "pipe.ppm", "ana", b"");
    old.add(9, "folder.ppm", "ana", b"");
    old.entries.push(json!({"id": 10}));
    old.entries.push(json!("eleven"));
    old.add(12, "last.ppm", "ana", &image(12, 1000));
    let images = old.path().join("imagens");
    fs::remove_file(images.join("3_gone.ppm")).unwrap();
    for id in ["5_link", "8_pipe", "9_folder"] {
        fs::remove_file(images.join(format!("{id}.ppm"))).unwrap();
    }
    std::os::unix::fs::symlink(outside.path().join("secret"), images.join("5_link.ppm")).unwrap();
    let pipe = rustix::fs::FileType::Fifo;
    let mode = rustix::fs::Mode::from_raw_mode(0o600);
    rustix::fs::mknodat(rustix::fs::CWD, images.join("8_pipe.ppm"), pipe, mode, 0).unwrap();
    fs::create_dir(images.join("9_folder.ppm")).unwrap();
    old.entries[5]["path"] = json!("imagens/../../secret");

    let data = tempfile::tempdir().unwrap();
    let repository = open(data.path());
    let summary = old.import(&repository).await;
    assert_eq!((summary.imported, summary.present), (3, 0));
    let told = |left: &LeftOut| (left.entry.unwrap(), left.number, left.error.code);
    let mut left: Vec<_> = summary.left_out.iter().map(told).collect();
    left.sort_unstable_by_key(|(entry, ..)| *entry);
    assert_eq!(
        left,
        [
            (2, Some(2), ErrorCode::NotAnImage),
            (3, Some(3), ErrorCode::NotFound),
            (4, Some(4), ErrorCode::NotAnImage),
            (5, Some(5), ErrorCode::FileError),
            (6, Some(6), ErrorCode::BadRequest),
            (8, Some(8), ErrorCode::FileError),
            (9, Some(9), ErrorCode::FileError),
            (10, Some(10), ErrorCode::BadRequest),
            (11, None, ErrorCode::BadRequest),
        ]
    );
    let ids: Vec<u64> = listed(&repository).await.iter().map(|image| image.id.0).collect();
    assert_eq!(ids, [1, 7, 12]);
    // Repaired, it comes under its own number.
    old.add(3, "gone.ppm", "ana", &image(3, 1000));
    let summary = old.import(&repository).await;
    assert_eq!((summary.imported, summary.present), (1, 4), "the entry stands there twice now");
    let ids: Vec<u64> = listed(&repository).await.iter().map(|image| image.id.0).collect();
    assert_eq!(ids, [1, 3, 7, 12]);
}

#[tokio::test]
async fn a_folder_that_is_none_is_refused_whole() {
    let empty = tempfile::tempdir().unwrap();
    let refused = |path: &Path| Folder::open(path, &recife()).unwrap_err();
    assert!(refused(empty.path()).hint.unwrap().contains("metadata.json"));
    assert!(refused(&empty.path().join("none")).message.contains("none"));
    fs::write(empty.path().join("metadata.json"), "[{}").unwrap();
    assert_eq!(refused(empty.path()).code, ErrorCode::FileError);
    fs::write(empty.path().join("metadata.json"), "[]").unwrap();
    assert!(Folder::open(empty.path(), &recife()).unwrap().is_empty());
    std::os::unix::fs::symlink("/tmp", empty.path().join("imagens")).unwrap();
    assert!(refused(empty.path()).hint.unwrap().contains("links"));
}

#[tokio::test]
async fn numbers_in_use_change_and_nothing_that_was_deleted_comes_back() {
    let data = tempfile::tempdir().unwrap();
    let repository = open(data.path());
    let bo = guest(&repository, "bo").await;
    for seed in [101, 102] {
        upload(&repository, &bo, "own.ppm", &image(seed, 500)).await.unwrap();
    }
    let mut old = Old::new();
    // One content under several records; a number twice, as after entries were removed by hand.
    for (id, name) in [(1, "a.ppm"), (2, "b.ppm"), (3, "a.ppm"), (4, "c.ppm")] {
        old.add(id, name, "ana", &image(1, 500));
    }
    old.add(4, "d.ppm", "ana", &image(4, 500));
    let summary = old.import(&repository).await;
    assert_eq!((summary.imported, summary.left_out.len()), (5, 0));
    let moved: Vec<_> =
        summary.renumbered.iter().map(|one| (one.entry, one.number, one.image.0)).collect();
    assert_eq!(moved, [(1, 1, 5), (2, 2, 6), (5, 4, 7)]);
    let names = |images: Vec<ImageRecord>| {
        images.into_iter().map(|image| (image.id.0, image.name)).collect::<BTreeMap<_, _>>()
    };
    let all = names(listed(&repository).await);
    assert_eq!(all.len(), 7);
    assert_eq!((all[&3].as_str(), all[&5].as_str(), all[&7].as_str()), ("a.ppm", "a.ppm", "d.ppm"));

    delete(&repository, &repository.owner(), 3).await.unwrap();
    purge(&repository, &repository.owner()).await.unwrap();
    delete(&repository, &repository.owner(), 5).await.unwrap();
    let again = old.import(&repository).await;
    assert_eq!((again.imported, again.present), (0, 5));
    assert_eq!(names(listed(&repository).await).len(), 5);
}

#[tokio::test]
async fn an_import_that_was_given_up_anywhere_is_finished_by_the_next() {
    let mut old = Old::new();
    for id in 1..=400 {
        let size = if id % 40 == 0 { 400_000 } else { 300 };
        old.add(id, &format!("{id}.ppm"), ["ana", "bo"][id as usize % 2], &image(id, size));
    }
    old.write();
    let data = tempfile::tempdir().unwrap();
    let repository = open(data.path());
    let mut taken = 0;
    for stop_at in [1, 130, 290] {
        let folder = Folder::open(old.path(), &recife()).unwrap();
        let (reached, mut stop) = tokio::sync::oneshot::channel();
        let mut reached = Some(reached);
        let mut steps = 0;
        let mut tell = |_: imgrepod::repository::classic::Told<'_>| {
            steps += 1;
            if steps == stop_at
                && let Some(reached) = reached.take()
            {
                let _ = reached.send(());
            }
        };
        // Dropped in the middle, as a process that ends drops it.
        tokio::select! {
            biased;
            _ = &mut stop => {}
            _ = repository.import_classic(folder, &mut tell) => {}
        }
        let now = listed(&repository).await.len();
        assert!(now >= taken, "nothing goes away");
        taken = now;
    }
    let summary = import(&repository, old.path()).await;
    assert_eq!(summary.imported + summary.present, 400);
    let all = listed(&repository).await;
    assert_eq!(
        all.iter().map(|image| image.id.0).collect::<Vec<_>>(),
        (1..=400).collect::<Vec<_>>()
    );
    let events = repository.events(Seq(399), 10).await.unwrap().events;
    assert_eq!(events.len(), 1, "400 events, one for each");
    for image in all.iter().step_by(39) {
        let content = read(&repository, &repository.owner(), &Target::id(image.id)).await.unwrap();
        assert_eq!(
            content,
            fs::read(old.path().join(format!("imagens/{0}_{0}.ppm", image.id))).unwrap()
        );
    }
}
