//! What a daemon finds wrong with where it runs.

use imgrepo_proto::control::{Outcome, Request};

use crate::{Home, connect, png, upload};

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_as_it_should_be_is_found() {
    use imgrepo_proto::control::finding::{Finding, FindingState};
    async fn findings(home: &Home) -> Vec<Finding> {
        match home.call(Request::Examine).await.unwrap() {
            Outcome::Findings(findings) => findings,
            other => panic!("{other:?}"),
        }
    }
    fn one<'a>(findings: &'a [Finding], check: &str) -> &'a Finding {
        findings.iter().find(|finding| finding.check == check).unwrap()
    }
    let mut server = Home::server().await;
    let path = server.file("a.png", &png(1, 0));
    server.image(upload("a.png", &path)).await.unwrap();
    let found = findings(&server).await;
    assert_eq!(one(&found, "server").state, FindingState::Ok);
    assert_eq!(
        one(&found, "clock").message,
        "it goes forward; there is no server's to compare it with"
    );
    assert!(one(&found, "space").message.contains("the repository and the state and the cache"));
    // A home without a place for services.
    assert_eq!(one(&found, "login").hint.as_deref(), Some("imgrepod service install"));

    let mut client = Home::start(&[]).await;
    let found = findings(&client).await;
    assert_eq!(one(&found, "server").hint.as_deref(), Some("imgctl connect HOST"));
    client.status(Request::Connect { url: server.url(), user: None }).await;
    let found = findings(&client).await;
    let url = server.url();
    assert_eq!(one(&found, "server").message, format!("connected to {url} as ana"));
    // Read from what the server's HTTP side answers.
    assert_eq!(one(&found, "clock").message, "it is as the server's");
    let version = env!("CARGO_PKG_VERSION");
    let expected = format!("daemon {version}, server imgrepod {version} (v2)");
    assert_eq!(one(&found, "versions").message, expected);
    assert_eq!(one(&found, "socket").state, FindingState::Ok);
    #[cfg(target_os = "linux")]
    assert!(found.iter().any(|finding| finding.check == "inotify"));

    // The socket's file is gone, and the server too; this connection is still there.
    let endpoint = client.endpoint();
    let mut open = tokio::task::spawn_blocking(move || connect(&endpoint)).await.unwrap();
    std::fs::remove_file(client.endpoint().path()).unwrap();
    server.stop().await;
    let found = tokio::task::spawn_blocking(move || {
        loop {
            match open.call(&Request::Examine).unwrap() {
                Outcome::Findings(found)
                    if one(&found, "server").state == FindingState::Problem =>
                {
                    return found;
                }
                Outcome::Findings(_) => {}
                other => panic!("{other:?}"),
            }
        }
    });
    let found = found.await.unwrap();
    assert!(one(&found, "server").message.contains(&url));
    assert!(one(&found, "socket").message.ends_with("is gone: programs do not find the daemon"));
    client.stop().await;
}
