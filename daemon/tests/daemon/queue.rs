//! The queue of a daemon, through its end and start.

use std::path::Path;

use imgrepo_proto::ErrorCode;
use imgrepo_proto::control::queue::{QueueRequest, Rates, UploadId, Which};
use imgrepo_proto::control::request::{Content, Upload};
use imgrepo_proto::control::{Outcome, Reply, Request};

use crate::{Home, png};

#[tokio::test(flavor = "multi_thread")]
async fn what_is_queued_outlives_the_daemon_and_is_waited_for() {
    let mut server = Home::server().await;
    let mut client = Home::start(&[]).await;
    let path = client.file("a.png", &png(1, 100));
    let enqueue = |name: &str, path: &Path| {
        let content = Content::Path(path.to_owned());
        Request::Enqueue(Upload { name: name.to_owned(), content, unless_deleted: false })
    };
    let refused = client.call(enqueue("a.png", &path)).await.unwrap_err();
    assert_eq!(refused.code, ErrorCode::NotConnected);
    assert_eq!(refused.hint.as_deref(), Some("imgctl connect HOST"));
    let connect = || Request::Connect { url: server.url(), user: Some("bia".to_owned()) };
    client.status(connect()).await;
    client.call(Request::Disconnect).await.unwrap();
    client.stop().await;

    // Offline since the start: the queue is that of the session that is remembered.
    client.daemon = Some(client.run(&[]).await.unwrap());
    let Ok(Outcome::Queued(first)) = client.call(enqueue("a.png", &path)).await else { panic!() };
    let streamed = client.with(|client| {
        let content = Content::Stream;
        let upload = Upload { name: "s.png".to_owned(), content, unless_deleted: false };
        client.enqueue_stream(&upload, &mut &png(2, 600_000)[..])
    });
    let Ok(Outcome::Queued(second)) = streamed.await else { panic!() };
    assert!(second > first);
    let missing = client.directory.path().join("missing.png");
    for path in [missing, "/dev/stdin".into(), "relative.png".into()] {
        assert_eq!(client.call(enqueue("m.png", &path)).await, Ok(Outcome::OutOfReach));
    }
    let refused = client.call(enqueue("a/b.png", &path)).await.unwrap_err();
    assert_eq!(refused.code, ErrorCode::BadName);
    let ls = |all, after, limit| Request::Queue(QueueRequest::Ls { all, after, limit });
    let Ok(Outcome::Uploads { uploads, next }) = client.call(ls(false, None, 1)).await else {
        panic!()
    };
    assert_eq!((uploads[0].id, next), (first, Some(first)));
    let limit = Request::Limit { up: Some(1_000_000), down: Some(2_000_000) };
    let rates = Rates { up: Some(1_000_000), down: Some(2_000_000) };
    assert_eq!(client.call(limit).await, Ok(Outcome::Rates(rates)));
    client.call(Request::Queue(QueueRequest::Pause)).await.unwrap();
    client.stop().await;

    client.daemon = Some(client.run(&[]).await.unwrap());
    let status = client.status(connect()).await;
    assert_eq!((status.queue.counts.queued, status.queue.paused), (2, true));
    assert_eq!(status.rates, rates);
    let limit = Request::Limit { up: Some(0), down: None };
    let rates = Rates { up: None, ..rates };
    assert_eq!(client.call(limit).await, Ok(Outcome::Rates(rates)));
    let waiting = client.with(|client| {
        let mut told = 0;
        let outcome = client.call_with(&Request::Wait, &mut |reply| {
            assert!(matches!(reply, Reply::Queue(_)));
            told += 1;
            Ok(())
        });
        (outcome, told)
    });
    let resume = async {
        client.call(Request::Queue(QueueRequest::Resume)).await.unwrap();
    };
    let ((outcome, told), ()) = tokio::join!(waiting, resume);
    let Ok(Outcome::Queue(queue)) = outcome else { panic!("{outcome:?}") };
    assert_eq!((queue.counts.stored, queue.counts.open(), told >= 1), (2, 0, true));
    let Ok(Outcome::Uploads { uploads, next }) = client.call(ls(true, None, 9)).await else {
        panic!()
    };
    assert_eq!((uploads.len(), next), (2, None));
    assert_eq!(uploads[1].path, None);
    let again = QueueRequest::Retry(Which::These(vec![UploadId(77)]));
    let refused = client.call(Request::Queue(again)).await.unwrap_err();
    assert_eq!(refused.code, ErrorCode::NotFound);
    let give_up = Request::Queue(QueueRequest::Cancel(Which::All));
    assert_eq!(client.call(give_up).await, Ok(Outcome::Changed(0)));
    assert_eq!(server.names().await.len(), 2);
    client.stop().await;
    server.stop().await;
}
