//! A full disk under the client's state: nothing new is queued, nothing is lost, and with room it goes
//! on by itself. On a small tmpfs, so as root alone.

use imgrepo_proto::ErrorCode;

use crate::small_disk::SmallDisk;
use crate::{Client, Served, picture};

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_at_the_state_refuses_and_goes_on_with_room() {
    let Some(disk) = SmallDisk::mount("size=3m") else { return };
    let files = tempfile::tempdir().unwrap();
    let served = Served::start().await;
    let client = Client::start(disk.path()).await;
    client.meet(served.address()).await;
    std::fs::write(disk.path().join("ballast"), vec![0; 1_500_000]).unwrap();
    let mut queued = 0u32;
    let refused = loop {
        let name = format!("{queued:04}-{}.png", "x".repeat(150));
        let path = files.path().join(&name);
        std::fs::write(&path, picture(queued, 300)).unwrap();
        match client.queue.enqueue(path, name, false).await {
            Ok(_) => queued += 1,
            Err(refused) => break refused,
        }
        assert!(queued < 20_000);
    };
    assert_eq!(refused.code, ErrorCode::StorageFull, "{refused}");
    let mut spooling = client.queue.begin_spooling().await.unwrap();
    let refused = spooling.write(&picture(0, 3_000_000)).unwrap_err();
    assert_eq!(refused.code, ErrorCode::StorageFull, "{refused}");
    drop(spooling);
    client.connect(served.address());
    std::fs::remove_file(disk.path().join("ballast")).unwrap();
    let status = client.done().await;
    assert_eq!((status.counts.stored, status.counts.faults()), (u64::from(queued), 0));
    client.stop().await;
    served.stop().await;
}
