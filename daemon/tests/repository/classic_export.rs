//! A repository written as the old system's folder, and that a round trip keeps all that this holds.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use imgrepo_proto::session::command::Target;
use imgrepo_proto::{ErrorCode, ImageId, RepositoryId};
use imgrepod::repository::Repository;
use imgrepod::repository::blobs::memory::MemoryBlobs;
use imgrepod::repository::catalog::memory::MemoryCatalog;
use imgrepod::repository::classic::ExportSummary;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::classic::{Old, import, recife, sample};
use super::support::{delete, guest, image, open, read, settings, upload};

async fn export(repository: &Repository, folder: &Path) -> ExportSummary {
    repository.export_classic(folder, &recife(), &mut |_| ()).await.unwrap()
}

#[tokio::test]
async fn an_export_has_the_listed_images_with_safe_names_and_small_copies() {
    let data = tempfile::tempdir().unwrap();
    let repository = open(data.path());
    import(&repository, &sample()).await;
    let bo = guest(&repository, "bo").await;
    let picture = |name: &str| fs::read(sample().parent().unwrap().join(name)).unwrap();
    upload(&repository, &bo, "a:b\u{202e}.jpg", &picture("oriented.jpg")).await.unwrap();
    upload(&repository, &bo, "foto.heic", &picture("exif.heic")).await.unwrap();
    upload(&repository, &bo, &format!("{}.bmp", "ã".repeat(125)), &picture("plain.bmp"))
        .await
        .unwrap();
    delete(&repository, &repository.owner(), 3).await.unwrap();

    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("new/old");
    let summary = export(&repository, &folder).await;
    assert_eq!((summary.exported, summary.without_thumbnail, summary.left_out.len()), (5, 1, 0));
    let text = fs::read_to_string(folder.join("metadata.json")).unwrap();
    assert!(text.is_ascii());
    let entries: Vec<Value> = serde_json::from_str(&text).unwrap();
    assert_eq!(entries.len(), 5);
    assert_eq!(
        entries[0],
        json!({"id": 1, "filename": "plain.gif", "uploader": "ana",
            "path": "imagens/1_plain.gif", "thumb_path": "imagens/thumb_1_plain.gif",
            "timestamp": "2024-05-01T12:34:56.789012"})
    );
    assert_eq!(entries[1]["timestamp"], json!("01/05/2024 12:34:56"));
    assert_eq!(entries[2]["path"], json!("imagens/4_a%3Ab%E2%80%AE.jpg"));
    assert_eq!(entries[2]["filename"], json!("a:b\u{202e}.jpg"));
    assert_eq!(entries[3]["thumb_path"], Value::Null);
    for entry in &entries {
        let file = folder.join(entry["path"].as_str().unwrap());
        let id = ImageId(entry["id"].as_u64().unwrap());
        let content = read(&repository, &repository.owner(), &Target::id(id)).await.unwrap();
        assert_eq!(fs::read(file).unwrap(), content);
        if let Some(thumb) = entry["thumb_path"].as_str() {
            assert!(fs::metadata(folder.join(thumb)).unwrap().len() > 0);
        }
    }
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 2, "nothing else is left there");

    let refusal = repository.export_classic(&folder, &recife(), &mut |_| ()).await.unwrap_err();
    assert_eq!(refusal.code, ErrorCode::Conflict);
    // It is this repository's own: nothing of it is new here.
    let again = import(&repository, &folder).await;
    assert_eq!((again.imported, again.present), (0, 5));
}

#[tokio::test]
async fn a_content_that_is_damaged_is_left_out_of_an_export() {
    let data = tempfile::tempdir().unwrap();
    let repository = open(data.path());
    let ana = guest(&repository, "ana").await;
    for seed in 1..=3 {
        upload(&repository, &ana, "large.ppm", &image(seed, 400_000)).await.unwrap();
    }
    let blob = |seed| {
        let hash = super::support::hash(&image(seed, 400_000)).to_string();
        data.path().join("blobs").join(&hash[..2]).join(&hash)
    };
    fs::write(blob(1), image(9, 400_000)).unwrap();
    fs::remove_file(blob(2)).unwrap();
    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("old");
    let summary = export(&repository, &folder).await;
    let left: Vec<_> = summary.left_out.iter().map(|left| left.number).collect();
    assert_eq!((summary.exported, left), (1, vec![Some(1), Some(2)]));
    let images: Vec<_> = fs::read_dir(folder.join("imagens"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| !name.starts_with("thumb_"))
        .collect();
    assert_eq!(images, ["3_large.ppm"]);
}

/// A repository that keeps nothing: what makes one on a disk would take most of the time.
fn in_memory(directory: &Path) -> Repository {
    fs::create_dir_all(directory).unwrap();
    let catalog = Arc::new(MemoryCatalog::new(RepositoryId("00ff".to_owned())));
    Repository::with(catalog, Arc::new(MemoryBlobs::default()), settings(directory)).unwrap()
}

/// All that the old format holds of an image: number, name, uploader, timestamp, content.
type Held = (u64, String, String, String, Vec<u8>);

fn held(folder: &Path) -> Vec<Held> {
    let text = fs::read_to_string(folder.join("metadata.json")).unwrap();
    let entries: Vec<Value> = serde_json::from_str(&text).unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let mut held: Vec<Held> = entries
        .iter()
        .map(|entry| {
            let content = fs::read(folder.join(text(&entry["path"]))).unwrap();
            (
                entry["id"].as_u64().unwrap(),
                text(&entry["filename"]),
                text(&entry["uploader"]),
                entry["timestamp"].to_string(),
                content,
            )
        })
        .collect();
    held.sort();
    held
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn a_round_trip_keeps_all_that_the_old_format_holds(
        images in prop::collection::vec(
            (
                1..60u64,
                "[a-zã :*?\"<>|%.💡]{1,12}\\.(ppm|jpg)",
                "[a-zé ]{0,5}[a-z]",
                prop_oneof![
                    "[0-9]{2}/0[1-9]/20[0-9]{2} [0-2][0-9]:[0-5][0-9]".prop_map(Value::from),
                    "[a-zü\"\\\\]{0,9}".prop_map(Value::from),
                    (0..2_000_000_000u32).prop_map(|n| Value::from(f64::from(n) / 4.0)),
                ],
                1..5u64,
            ),
            0..20,
        )
    ) {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(async {
            let mut old = Old::new();
            let mut numbers = std::collections::HashSet::new();
            for (id, name, uploader, timestamp, seed) in images {
                if !numbers.insert(id) {
                    continue;
                }
                // Under a file name of its own, as such names may be none.
                old.add(id, "x", uploader.trim(), &image(seed, 200));
                let entry = old.entries.last_mut().unwrap();
                entry["filename"] = json!(name);
                entry["timestamp"] = timestamp;
            }
            old.write();
            let before = held(old.path());
            let parent = tempfile::tempdir().unwrap();
            let mut from = old.path().to_owned();
            for round in ["once", "twice"] {
                let repository = in_memory(&parent.path().join("data").join(round));
                let summary = import(&repository, &from).await;
                prop_assert_eq!((summary.imported, summary.left_out), (before.len(), vec![]));
                from = parent.path().join(round);
                export(&repository, &from).await;
                prop_assert_eq!(&held(&from), &before);
            }
            Ok(())
        })?;
    }
}
