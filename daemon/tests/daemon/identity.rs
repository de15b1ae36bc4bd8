//! Who a server is, over its starts.

use imgrepo_proto::ErrorCode;
use imgrepod::tls::Identity;

use crate::Home;

#[tokio::test(flavor = "multi_thread")]
async fn a_server_stays_who_it_is_or_does_not_start() {
    let mut home = Home::server().await;
    let folder = home.directory.path().join("data/tls");
    let key = std::fs::read(folder.join("key.pem")).unwrap();
    let fingerprint = Identity::own(&folder, None).unwrap().fingerprint();
    home.stop().await;
    home.daemon = Some(home.run(&["--serve"]).await.unwrap());
    assert_eq!(std::fs::read(folder.join("key.pem")).unwrap(), key);
    assert_eq!(Identity::own(&folder, None).unwrap().fingerprint(), fingerprint);
    home.stop().await;

    std::fs::write(folder.join("key.pem"), &key[..key.len() / 2]).unwrap();
    let Err(refusal) = home.run(&["--serve"]).await else { panic!("it has no key") };
    assert_eq!(refusal.code, ErrorCode::FileError);
    assert!(refusal.hint.unwrap().contains("from a backup"));
    // Nothing of it is left behind: with its key it starts again.
    std::fs::write(folder.join("key.pem"), &key).unwrap();
    home.daemon = Some(home.run(&["--serve"]).await.unwrap());
    assert_eq!(Identity::own(&folder, None).unwrap().fingerprint(), fingerprint);
    home.stop().await;
}
