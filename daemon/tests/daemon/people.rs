//! Two daemons, one of them the server: somebody is invited, joins, and is let in no more.

use std::time::Duration;

use imgrepo_proto::control::people::{PeopleOutcome, PeopleRequest};
use imgrepo_proto::control::queue::{QueueRequest, Which};
use imgrepo_proto::control::reply::{Left, SessionState, Status, Transport};
use imgrepo_proto::control::request::{Content, Upload};
use imgrepo_proto::control::watch::{After, WatchRequest};
use imgrepo_proto::control::{Outcome, Request};
use imgrepo_proto::session::command::{Devices, Invite, Revoke, SetRole};
use imgrepo_proto::session::people::{AccountRole, DeviceId};
use imgrepo_proto::{ErrorCode, Refusal, Secret};

use crate::{Home, png, upload};

/// How long a test waits for what must come. Only a failing test waits so long.
const PATIENCE: Duration = Duration::from_secs(20);

impl Home {
    async fn people(&self, request: PeopleRequest) -> Result<PeopleOutcome, Refusal> {
        match self.call(Request::People(request)).await? {
            Outcome::People(outcome) => Ok(*outcome),
            other => panic!("{other:?}"),
        }
    }

    async fn invite(&self, invite: Invite) -> Secret {
        match self.people(PeopleRequest::Invite(invite)).await.unwrap() {
            PeopleOutcome::Invited(reply) => reply.link,
            other => panic!("{other:?}"),
        }
    }

    async fn join(&self, link: &Secret, user: Option<&str>) -> Result<Status, Refusal> {
        let (link, user) = (link.clone(), user.map(str::to_owned));
        let join = PeopleRequest::Join { link, user, device: Some("laptop".to_owned()) };
        match self.call(Request::People(join)).await? {
            Outcome::Status(status) => Ok(*status),
            other => panic!("{other:?}"),
        }
    }

    async fn set_role(&self, person: &str, role: AccountRole) {
        let role = SetRole { person: person.to_owned(), role };
        self.people(PeopleRequest::Role(role)).await.unwrap();
    }

    /// The status, once it is so.
    async fn until(&self, is_so: impl Fn(&Status) -> bool) -> Status {
        let asked = async {
            loop {
                let status = self.status(Request::Status).await;
                if is_so(&status) {
                    return status;
                }
            }
        };
        tokio::time::timeout(PATIENCE, asked).await.unwrap()
    }

    async fn devices(&self, person: Option<&str>) -> Vec<DeviceId> {
        let person = person.map(str::to_owned);
        match self.people(PeopleRequest::Devices(Devices { person })).await.unwrap() {
            PeopleOutcome::Devices(reply) => {
                reply.devices.iter().filter(|one| one.revoked.is_none()).map(|one| one.id).collect()
            }
            other => panic!("{other:?}"),
        }
    }

    /// Why the session is not tried again, once it is not: who follows what happens hears of it.
    async fn refused(&self) -> Refusal {
        let follow = Request::Events { since: None, follow: true };
        self.with(move |client| client.call_with(&follow, &mut |_| Ok(()))).await.unwrap_err()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_invited_is_let_in_until_the_device_is_revoked() {
    let mut server = Home::server().await;
    let (mut bia, mut second) = (Home::start(&[]).await, Home::start(&[]).await);
    let link = server.invite(Invite::default()).await;

    // The owner's name is nobody else's.
    let refused = bia.join(&link, None).await.unwrap_err();
    assert_eq!(refused.code, ErrorCode::Conflict);
    assert!(refused.hint.unwrap().contains("--user"));
    let session = bia.join(&link, Some("bia")).await.unwrap().session;
    assert_eq!(session.state, SessionState::Connected);
    assert_eq!((session.user.as_str(), session.role.as_deref()), ("bia", Some("member")));
    assert_eq!(session.transport, Some(Transport::Pinned));
    let url = session.url.unwrap();
    assert!(url.starts_with("wss://"), "{url}");
    let refused = second.join(&link, Some("carla")).await.unwrap_err();
    assert_eq!(refused.code, ErrorCode::Denied, "it is used up: {refused}");

    let path = bia.file("a.png", &png(1, 600_000));
    assert_eq!(bia.image(upload("a.png", &path)).await.unwrap().uploader, "bia");
    assert_eq!(server.names().await, ["a.png"]);

    // What is asked without a session goes the same way.
    let Ok(Outcome::Findings(found)) = bia.call(Request::Examine).await else { panic!() };
    let clock = found.iter().find(|finding| finding.check == "clock").unwrap();
    assert_eq!(clock.message, "it is as the server's");

    // A further device of hers; after a new start both are known by themselves.
    let own = bia.invite(Invite { person: Some("bia".to_owned()), ..Invite::default() }).await;
    let session = second.join(&own, None).await.unwrap().session;
    assert_eq!((session.user.as_str(), session.role.as_deref()), ("bia", Some("member")));
    second.stop().await;
    second.daemon = Some(second.run(&[]).await.unwrap());
    assert_eq!(second.names().await, ["a.png"]);

    // Another role counts at once, in the session that is there.
    server.set_role("bia", AccountRole::Viewer).await;
    let other = bia.file("b.png", &png(2, 100));
    let refused = bia.call(upload("b.png", &other)).await.unwrap_err();
    assert_eq!(refused.code, ErrorCode::Denied);

    // Newest first: that of the laptop that is lost.
    let devices = server.devices(Some("bia")).await;
    assert_eq!(devices.len(), 2);
    server.people(PeopleRequest::Revoke(Revoke { device: devices[0] })).await.unwrap();
    let told = second.refused().await;
    assert!(told.message.contains("revoked"), "{told}");
    assert!(told.hint.unwrap().contains("imgctl join"));
    assert_eq!(bia.names().await, ["a.png"], "the other one goes on");
    second.stop().await;
    second.daemon = Some(second.run(&[]).await.unwrap());
    let told = second.refused().await;
    assert_eq!(told.code, ErrorCode::Unauthenticated);
    assert!(told.message.contains("revoked"), "{told}");

    for home in [&mut bia, &mut second, &mut server] {
        home.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_leaves_for_good_is_known_neither_here_nor_there() {
    let mut server = Home::server().await;
    let mut bia = Home::start(&[]).await;
    let nothing = bia.call(Request::Leave).await.unwrap_err();
    assert_eq!(nothing.code, ErrorCode::NotFound);
    let link = server.invite(Invite { uses: Some(2), ..Invite::default() }).await;
    let url = bia.join(&link, Some("bia")).await.unwrap().session.url.unwrap();
    let device = server.devices(Some("bia")).await[0];
    let folder = bia.directory.path().join("pictures");
    std::fs::create_dir(&folder).unwrap();
    let add = WatchRequest::Add { path: folder.clone(), after: After::Keep };
    bia.call(Request::Watch(add)).await.unwrap();

    // Not while something would be lost.
    bia.call(Request::Queue(QueueRequest::Pause)).await.unwrap();
    let content = Content::Path(bia.file("a.png", &png(1, 100)));
    let upload = Upload { name: "a.png".to_owned(), content, unless_deleted: false };
    bia.call(Request::Enqueue(upload)).await.unwrap();
    let refused = bia.call(Request::Leave).await.unwrap_err();
    assert_eq!(refused.code, ErrorCode::Conflict);
    assert_eq!(server.devices(Some("bia")).await, [device], "nothing was done yet");
    bia.call(Request::Queue(QueueRequest::Cancel(Which::All))).await.unwrap();

    let left = bia.call(Request::Leave).await.unwrap();
    let user = "bia".to_owned();
    let expected = Left { url, user, device: Some(device), revoked: true };
    assert_eq!(left, Outcome::Left(expected));
    assert_eq!(server.devices(Some("bia")).await, []);
    for _start in 0..2 {
        let status = bia.status(Request::Status).await;
        assert_eq!((status.session.state, &status.folders[..]), (SessionState::Offline, &[][..]));
        assert_eq!(status.queue.elsewhere, 0);
        let kept = std::fs::read_to_string(bia.directory.path().join("state/credentials.json"));
        assert!(!kept.unwrap().contains("bia"));
        bia.stop().await;
        bia.daemon = Some(bia.run(&[]).await.unwrap());
    }
    assert!(folder.exists());
    assert_eq!(bia.status(Request::Status).await.session.url, None);
    // And may come again, as somebody new.
    assert_eq!(bia.join(&link, Some("eva")).await.unwrap().session.user, "eva");
    for home in [&mut bia, &mut server] {
        home.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_viewer_dropped_arrives_once_they_are_a_member() {
    let (mut server, mut bia) = (Home::server().await, Home::start(&[]).await);
    let invite = Invite { role: Some(AccountRole::Viewer), ..Invite::default() };
    let session = bia.join(&server.invite(invite).await, Some("bia")).await.unwrap().session;
    assert_eq!(session.role.as_deref(), Some("viewer"));
    let path = bia.directory.path().join("pictures");
    std::fs::create_dir(&path).unwrap();
    std::fs::write(path.join("a.png"), png(1, 100)).unwrap();
    let add = WatchRequest::Add { path, after: After::Keep };
    bia.call(Request::Watch(add)).await.unwrap();
    bia.until(|status| status.queue.counts.refused == 1).await;
    assert!(server.names().await.is_empty());

    server.set_role("bia", AccountRole::Member).await;
    let told = bia.until(|status| status.session.role.as_deref() == Some("member")).await;
    assert_eq!(told.session.since, session.since, "the session is the same");
    let done = bia.until(|status| status.queue.counts.stored == 1).await.queue;
    assert_eq!(done.counts.faults(), 0);
    assert_eq!(server.names().await, ["a.png"]);

    // And back.
    server.set_role("bia", AccountRole::Viewer).await;
    bia.until(|status| status.session.role.as_deref() == Some("viewer")).await;
    for home in [&mut bia, &mut server] {
        home.stop().await;
    }
}
