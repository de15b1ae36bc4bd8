//! Very many files. Shortened here; `IMGREPO_FILES=100000` is the promise.

use std::time::Instant;

use super::*;

fn files() -> u32 {
    let told = std::env::var("IMGREPO_FILES").ok();
    told.and_then(|text| text.parse().ok()).unwrap_or(3_000)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crowd_is_taken_once_and_known_at_the_next_start() {
    let mut scene = Scene::new().await;
    let made = scene.home.path().join("crowd");
    let each = 1_000;
    for number in 0..files() {
        let folder = made.join((number / each).to_string());
        if number % each == 0 {
            std::fs::create_dir_all(&folder).unwrap();
        }
        std::fs::write(folder.join(format!("{number}.png")), png(number)).unwrap();
    }
    let begun = Instant::now();
    std::fs::rename(&made, scene.path("crowd")).unwrap();
    let mut changed = scene.state.changed();
    let wait = async {
        while scene.status().await.counts.queued < u64::from(files()) {
            changed.changed().await.unwrap();
        }
    };
    tokio::time::timeout(PATIENCE * 4, wait).await.unwrap();
    println!("{} files moved in: queued after {:?}", files(), begun.elapsed());
    while scene.status().await.counts.queued > 0 {
        scene.receive().await;
    }
    let before = scene.state.page(scene.ana, true, None, 100).await.unwrap();
    scene.end().await;

    let begun = Instant::now();
    scene.begin();
    scene.watch.look().await.unwrap();
    // The scan of the start, and the one that was asked for.
    println!("two scans of {} known files: {:?}", files(), begun.elapsed());
    let memory = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let most = memory.lines().find(|line| line.starts_with("VmHWM")).unwrap_or("unknown");
    println!("memory of this process, at most: {most}");
    let status = scene.status().await;
    assert_eq!(status.counts.stored, u64::from(files()));
    assert_eq!(status.counts.open(), 0);
    assert_eq!(scene.state.page(scene.ana, true, None, 100).await.unwrap(), before);
}
