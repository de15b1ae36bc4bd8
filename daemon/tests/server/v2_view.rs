//! VIEW and EXIF with the real child: right pictures for whoever may have the image, at once and from
//! one child, and a sentence where there is none.

use std::io::Cursor;
use std::path::{Path, PathBuf};

use imgrepod::config::Guests;
use imgrepod::repository::Repository;
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncWrite};

use crate::club::Club;
use crate::pictures::{photograph, picture};
use crate::support::{Client, Seen, Stage, code};

const WINDOW: usize = 1024 * 1024;

fn sides(bytes: &[u8]) -> (u32, u32) {
    let image = image::load_from_memory(bytes).unwrap();
    (image.width(), image.height())
}

/// VIEW: SIZE_INFO, the picture, and the final reply.
async fn view<S: AsyncRead + AsyncWrite + Unpin>(
    client: &mut Client<S>,
    image: u64,
    variant: &str,
) -> (Value, Vec<u8>) {
    let args = json!({"image": image, "variant": variant});
    let (info, bytes, end) = client.fetch("VIEW", args).await;
    assert_eq!(end["status"], "SUCCESS", "{end}");
    let hash = blake3::hash(&bytes).to_string();
    assert_eq!((&info["hash"], &end["data"]["hash"]), (&json!(hash), &json!(hash)));
    assert_eq!(info["size"], bytes.len());
    (info, bytes)
}

async fn refused<S: AsyncRead + AsyncWrite + Unpin>(client: &mut Client<S>, image: u64) -> String {
    client.refused("VIEW", json!({"image": image, "variant": "256"})).await
}

/// Waits until all pictures that are to be made have been.
async fn made(repository: &Repository) {
    let wait = async {
        loop {
            let making = repository.making().unwrap();
            if making.waiting == 0 && !making.is_searching {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(60), wait).await.expect("pictures");
}

/// Waits for a record whose placeholder was noted.
async fn placeholder<S: AsyncRead + AsyncWrite + Unpin>(
    client: &mut Client<S>,
    image: u64,
) -> String {
    let wait = async {
        loop {
            let info = client.ok("INFO", json!({"image": image})).await;
            if let Some(text) = info["image"]["placeholder"].as_str() {
                return text.to_owned();
            }
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(60), wait).await.expect("a placeholder")
}

/// The kept pictures below a data directory.
fn kept(data: &Path) -> Vec<PathBuf> {
    let entries = |path: &Path| std::fs::read_dir(path).into_iter().flatten().flatten();
    let folders = entries(&data.join("variants"));
    folders
        .flat_map(|folder| entries(&folder.path()).map(|file| file.path()).collect::<Vec<_>>())
        .collect()
}

#[tokio::test]
async fn pictures_are_made_small_enough_and_turned_and_never_enlarged() {
    let stage = Stage::making(|_| {}).await;
    let mut client = stage.guest("ana").await;
    client.upload("a.bmp", &photograph(1200, 600, 1)).await;
    let oriented = include_bytes!("../data/oriented.jpg");
    let stored = client.upload("b.jpg", oriented).await;
    assert_eq!(stored["data"]["image"]["orientation"], 6, "known before the acknowledgement");
    for (variant, wanted) in [("256", (256, 128)), ("512", (512, 256)), ("display", (1200, 600))] {
        let (info, bytes) = view(&mut client, 1, variant).await;
        assert_eq!((sides(&bytes), &info["media_type"]), (wanted, &json!("image/jpeg")));
        assert_eq!(info["name"], "a.bmp");
    }
    let (_, bytes) = view(&mut client, 2, "512").await;
    assert_eq!(sides(&bytes), (24, 40), "it is stored as 40 x 24, lying on its side");
    for image in [1, 2] {
        assert!(placeholder(&mut client, image).await.len() > 8);
    }
    assert_eq!(client.ok("LIST", json!({})).await["images"][0]["orientation"], 6);
    let exif = client.ok("EXIF", json!({"image": 1})).await;
    assert_eq!(exif, json!({"exif": null}));
}

#[tokio::test]
async fn a_picture_comes_by_windows_as_a_content_does() {
    let stage = Stage::making(|_| {}).await;
    let mut client = stage.guest("ana").await;
    // Noise, which hardly gets smaller.
    let mut state = 1u32;
    let noise = image::RgbImage::from_fn(1500, 1500, |_, _| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        image::Rgb([(state >> 8) as u8, (state >> 16) as u8, (state >> 24) as u8])
    });
    let mut bytes = Cursor::new(Vec::new());
    noise.write_to(&mut bytes, image::ImageFormat::Bmp).unwrap();
    client.upload("a.bmp", &bytes.into_inner()).await;
    let id = client.send("VIEW", json!({"image": 1, "variant": "display"})).await;
    let info = client.status(id, &["SIZE_INFO"]).await;
    let size = info["size"].as_u64().unwrap() as usize;
    assert!(size > WINDOW, "{size}");
    let mut got = Vec::new();
    while got.len() < size {
        let window = got.len() + WINDOW;
        while got.len() < window.min(size) {
            let data = client.find(|seen| matches!(seen, Seen::Data { .. })).await;
            let Seen::Data { offset, bytes, .. } = data else { unreachable!() };
            assert_eq!(offset, got.len() as u64);
            got.extend_from_slice(&bytes);
        }
        assert!(got.len() <= window);
        client.text(json!({"id": id, "cmd": "ACK", "offset": got.len()})).await;
    }
    assert_eq!(client.reply(id).await["data"]["hash"], blake3::hash(&got).to_string());
    assert_eq!(sides(&got), (1500, 1500));
}

#[tokio::test]
async fn what_cannot_be_shown_says_so_and_stays_whole() {
    let stage = Stage::making(|_| {}).await;
    let mut client = stage.guest("ana").await;
    // A header and noise.
    let broken = picture(5000, 1);
    client.upload("a.png", &broken).await;
    for variant in ["256", "512", "display", "256"] {
        let args = json!({"image": 1, "variant": variant});
        assert_eq!(client.refused("VIEW", args).await, "not_viewable");
    }
    let (_, bytes, _) = client.download(json!({"image": 1})).await;
    assert!(bytes == broken);
    assert_eq!(client.refused("VIEW", json!({"image": 9, "variant": "256"})).await, "not_found");
    assert_eq!(client.refused("VIEW", json!({"image": 1, "variant": "1024"})).await, "bad_request");
    assert_eq!(client.refused("EXIF", json!({"image": 9})).await, "not_found");
}

#[tokio::test]
async fn a_server_that_makes_none_says_so() {
    let stage = Stage::new().await;
    let mut client = stage.guest("ana").await;
    client.upload("a.bmp", &photograph(20, 10, 1)).await;
    assert_eq!(refused(&mut client, 1).await, "unsupported");
    client.ok("EXIF", json!({"image": 1})).await;
}

#[tokio::test]
async fn a_picture_is_for_whoever_may_have_the_image() {
    let club = Club::making(|settings| settings.guests = Guests::No).await;
    let ana = club.join("ana", "member").await;
    let bea = club.join("bea", "viewer").await;
    let (mut ana, mut bea) = (club.session(&ana).await, club.session(&bea).await);
    ana.upload("a.bmp", &photograph(300, 300, 1)).await;
    view(&mut ana, 1, "256").await;
    view(&mut bea, 1, "256").await;
    let mut stranger = club.stage.stranger().await;
    assert_eq!(refused(&mut stranger, 1).await, "unauthenticated");
    assert_eq!(stranger.refused("AUTH", json!({"user": "gil"})).await, "denied");
    assert_eq!(refused(&mut stranger, 1).await, "unauthenticated");
    ana.ok("DELETE", json!({"image": 1})).await;
    view(&mut ana, 1, "256").await;
    for (mut other, code) in [(bea, "not_found")] {
        assert_eq!(refused(&mut other, 1).await, code, "it is in another's trash");
        assert_eq!(other.refused("EXIF", json!({"image": 1})).await, code);
    }
    made(&club.stage.repository).await;
    ana.ok("PURGE", json!({"image": 1})).await;
    assert_eq!(refused(&mut ana, 1).await, "not_found");
    let gone = async {
        while !kept(&club.stage.data()).is_empty() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(20), gone).await.expect("nothing left");
}

#[tokio::test]
async fn a_cache_that_goes_or_is_damaged_is_made_again() {
    let stage = Stage::making(|_| {}).await;
    let mut client = stage.guest("ana").await;
    client.upload("a.bmp", &photograph(600, 600, 1)).await;
    let (_, before) = view(&mut client, 1, "512").await;
    made(&stage.repository).await;
    std::fs::remove_dir_all(stage.data().join("variants")).unwrap();
    let (_, after) = view(&mut client, 1, "512").await;
    assert!(before == after);
    for file in kept(&stage.data()) {
        let mut bytes = std::fs::read(&file).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        std::fs::write(&file, bytes).unwrap();
    }
    let (_, after) = view(&mut client, 1, "512").await;
    assert!(before == after);
}

#[tokio::test]
async fn two_hundred_who_ask_at_once_all_get_it() {
    let stage = Stage::making(|settings| settings.limits.max_requests = 250).await;
    let mut client = stage.guest("ana").await;
    client.upload("a.bmp", &photograph(2000, 1500, 1)).await;
    let mut ids = Vec::new();
    for _ in 0..200 {
        ids.push(client.send("VIEW", json!({"image": 1, "variant": "256"})).await);
    }
    for id in ids {
        let reply = client.reply(id).await;
        assert_eq!(reply["status"], "SUCCESS", "{reply}");
    }
}

#[tokio::test]
async fn a_request_that_is_given_up_ends_and_the_rest_goes_on() {
    let stage = Stage::making(|_| {}).await;
    let mut client = stage.guest("ana").await;
    for seed in 0..3 {
        client.upload(&format!("{seed}.bmp"), &photograph(1500, 1500, seed)).await;
    }
    let id = client.send("VIEW", json!({"image": 1, "variant": "display"})).await;
    client.ok("CANCEL", json!({"request": id})).await;
    let reply = client.reply(id).await;
    assert!(reply["status"] == "SUCCESS" || code(&reply) == "cancelled");
    for image in 1..=3 {
        view(&mut client, image, "512").await;
    }
}

#[tokio::test]
async fn what_an_earlier_run_did_not_come_to_is_made_by_the_next() {
    let stage = Stage::new().await;
    let mut client = stage.guest("ana").await;
    for seed in 0..5 {
        client.upload(&format!("{seed}.bmp"), &photograph(100, 100, seed)).await;
    }
    drop(client);
    let stage = stage.reopened(true).await;
    made(&stage.repository).await;
    assert_eq!(kept(&stage.data()).len(), 10, "small ones; large ones are made of new images");
    let mut client = stage.guest("ana").await;
    for image in 1..=5 {
        placeholder(&mut client, image).await;
    }
}

/// The files of this folder of the tests' data.
fn samples(folder: &str) -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(folder);
    let files = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path());
    let named = |path: &PathBuf| path.file_name().unwrap().to_str().unwrap().to_owned();
    files
        .filter(|path| path.is_file())
        .map(|path| (named(&path), std::fs::read(path).unwrap()))
        .collect()
}

#[tokio::test]
async fn every_sample_has_pictures_or_a_reason_and_the_server_lives() {
    let stage = Stage::making(|_| {}).await;
    let mut client = stage.guest("ana").await;
    let (mut shown, mut not_shown, mut sent) = (0, 0, 0);
    for (name, content) in samples("").into_iter().chain(samples("pictures")) {
        let reply = client.upload(&name, &content).await;
        if reply["status"] == "ERROR" {
            assert_eq!(code(&reply), "not_an_image", "{name}");
            continue;
        }
        sent += 1;
        let image = reply["data"]["image"]["id"].as_u64().unwrap();
        client.ok("EXIF", json!({"image": image})).await;
        for (variant, edge) in [("256", 256), ("512", 512), ("display", 2560)] {
            let args = json!({"image": image, "variant": variant});
            let (info, bytes, end) = client.fetch("VIEW", args).await;
            if end["status"] == "ERROR" {
                assert_eq!(code(&end), "not_viewable", "{name}: {end}");
                not_shown += 1;
                continue;
            }
            let (width, height) = sides(&bytes);
            assert!(width <= edge && height <= edge, "{name}: {info}");
            shown += 1;
        }
    }
    assert!(shown > 20 && not_shown > 0 && sent > 20, "{sent}: {shown} and {not_shown}");
    client.ok("LIST", json!({})).await;
}
