//! What a person at a terminal sees: tables, colours, bars, questions.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used)] // A test fails so.

mod stub;

use imgrepo_proto::control::people::{PeopleOutcome, PeopleRequest};
use imgrepo_proto::control::queue::{
    Direction, QueueRequest, QueuedUpload, TransferStatus, UploadId, UploadState,
};
use imgrepo_proto::control::reply::{Phase, Progress, SessionState};
use imgrepo_proto::control::watch::{FolderState, FolderStatus};
use imgrepo_proto::control::{Outcome, Reply, Request};
use imgrepo_proto::session::command::Invite;
use imgrepo_proto::session::people::{
    AccountRole, AuditEntry, AuditReply, Invitation, InvitationId, InviteReply,
};
use imgrepo_proto::session::reply::ListReply;
use imgrepo_proto::{ErrorCode, ImageRecord, Refusal, Secret};
use stub::screen::on_terminal;
use stub::{Say, Stub, done, folder, image, old_image, queued, refused, status};

fn show(stub: &Stub, lines: &[&[&str]]) -> String {
    let show = |args: &&[&str]| {
        let (said, code) = on_terminal(stub.imgctl(args), "");
        let said = said.replace('\x1b', "ESC");
        format!("$ imgctl {}\n{said}exit {code}\n\n", args.join(" "))
    };
    lines.iter().map(show).collect()
}

#[test]
fn tables_and_colours() {
    let stub = Stub::new(|request, _| match request {
        Request::List(list) => {
            assert_eq!(list.limit, Some(if list.cursor.is_some() { 48 } else { 50 }));
            let wide =
                ImageRecord {
                    uploader: "写真家".into(), size: Some(640), ..image(12, "写真.png")
                };
            let images = vec![wide, old_image(3, "an old one.jpg")];
            let next = Some("c3".to_owned());
            done(Outcome::Images(match list.cursor {
                None => ListReply { images, next, total: Some(90) },
                Some(_) => {
                    ListReply { images: vec![image(2, "b.jpg")], next: None, total: Some(90) }
                }
            }))
        }
        Request::Info(_) => done(Outcome::Image(image(1, "beach.jpg"))),
        _ => {
            refused(Refusal::new(ErrorCode::NotFound, "no image has the id 9").hint("imgctl list"))
        }
    });
    insta::assert_snapshot!(show(
        &stub,
        &[&["list"], &["list", "--long", "--color", "never"], &["info", "1"], &["rm", "9"],]
    ));
}

#[test]
fn a_table_goes_on_where_it_ended() {
    let stub = Stub::new(|_, _| {
        let images = vec![image(2, "b.jpg")];
        done(Outcome::Images(ListReply { images, next: Some("c2".into()), total: Some(9) }))
    });
    let args = ["list", "*.jpg", "--user", "ana", "--limit", "1", "--color", "never"];
    let (said, _) = on_terminal(stub.imgctl(&args), "");
    assert!(
        said.ends_with("\nmore: imgctl list '*.jpg' --user ana --limit 1 --after c2\n"),
        "{said}"
    );
}

#[test]
fn an_empty_list_says_what_of() {
    let stub = Stub::new(|_, _| {
        done(Outcome::Images(ListReply { images: vec![], next: None, total: Some(0) }))
    });
    for (args, said) in [
        (&["list"][..], "there is no image\n"),
        (&["list", "*.jpg"], "no image fits\n"),
        (&["list", "--user", "ana"], "no image fits\n"),
        (&["trash", "ls"], "the trash is empty\n"),
    ] {
        assert_eq!(on_terminal(stub.imgctl(args), ""), (said.to_owned(), 0));
    }
}

#[test]
fn a_bar_is_drawn_while_it_lasts_and_stands_aside() {
    let stub = Stub::new(|_, _| {
        let progress = |phase, done| Reply::Progress(Progress { phase, done, total: 1024 });
        let mut says =
            vec![Say::Item(progress(Phase::Waiting, 0)), Say::Item(progress(Phase::Sending, 512))];
        says.extend(done(Outcome::Stored { image: image(1, "a.jpg"), duplicate: false }));
        says
    });
    std::fs::write(stub.home.path().join("a.jpg"), [7; 1024]).unwrap();
    let (said, code) = on_terminal(stub.imgctl(&["upload", "a.jpg"]), "");
    assert_eq!(code, 0);
    assert!(said.contains("1.00 KiB"), "{said:?}");
    assert!(said.contains("\x1b[32mstored   \x1b[0m     1  a.jpg\n"), "{said:?}");
    let (said, _) =
        on_terminal(stub.imgctl(&["--no-progress", "upload", "a.jpg", "--color", "never"]), "");
    assert_eq!(said, "stored        1  a.jpg\n");
}

#[test]
fn the_trash_is_emptied_only_when_that_is_confirmed() {
    let stub = Stub::new(|_, _| done(Outcome::Purged(1)));
    let (said, code) = on_terminal(stub.imgctl(&["trash", "empty"]), "n\n");
    assert_eq!(code, 0);
    assert!(said.ends_with("nothing is removed\n"), "{said}");
    let (said, code) = on_terminal(stub.imgctl(&["trash", "empty"]), "y\n");
    assert_eq!(code, 0);
    assert!(said.ends_with("1 image is gone for ever\n"), "{said}");
}

#[test]
fn the_queue_and_watched_folders_are_tables() {
    let stub = Stub::new(|request, _| match request {
        Request::Queue(QueueRequest::Ls { all: true, limit, .. }) => {
            assert_eq!(*limit, 50);
            done(Outcome::Uploads { uploads: vec![], next: None })
        }
        Request::Queue(QueueRequest::Ls { limit, .. }) => {
            assert_eq!(*limit, 2);
            let why = Some(Refusal::new(ErrorCode::FileError, "it went away"));
            let sending = QueuedUpload {
                done: Some(5),
                size: 9,
                ..queued(7, "/a/写.jpg", UploadState::Sending)
            };
            let failed = QueuedUpload { error: why, ..queued(12, "/a/b.jpg", UploadState::Failed) };
            let uploads = vec![sending, failed];
            done(Outcome::Uploads { uploads, next: Some(UploadId(12)) })
        }
        _ => {
            let why = Some("the last watches are in use".to_owned());
            let hint = Some("sudo sysctl fs.inotify.max_user_watches=524288".to_owned());
            let polling = FolderStatus { why, hint, ..folder("/b", FolderState::Polling) };
            let folders = vec![folder("/home/ana/Pictures", FolderState::Watching), polling];
            done(Outcome::Folders(folders))
        }
    });
    insta::assert_snapshot!(show(
        &stub,
        &[&["queue", "ls", "--limit", "2"], &["queue", "ls", "--all"], &["watch", "ls"]]
    ));
}

#[test]
fn a_menu_asks_and_runs_the_commands() {
    let stub = Stub::new(|request, _| match request {
        Request::Status => done(Outcome::Status(Box::new(status(SessionState::Offline)))),
        Request::Connect { url, .. } if url == "photos.lan" => {
            done(Outcome::Status(Box::new(status(SessionState::Connected))))
        }
        Request::Disconnect => done(Outcome::Status(Box::new(status(SessionState::Offline)))),
        Request::List(_) => {
            done(Outcome::Images(ListReply { images: vec![], next: None, total: Some(0) }))
        }
        Request::Upload(upload) => {
            let image = image(7, &upload.name);
            done(Outcome::Stored { image, duplicate: false })
        }
        _ => refused(Refusal::new(ErrorCode::NotFound, "no image is named `-x y`")),
    });
    std::fs::write(stub.home.path().join("a b.jpg"), "x").unwrap();
    let menu = |language: &str, typed: &str| {
        let mut command = stub.imgctl(&[]);
        command.env("LANG", language).env("NO_COLOR", "1");
        let (said, code) = on_terminal(command, typed);
        format!("{said}exit {code}\n\n")
    };
    let said =
        menu("en_US.UTF-8", "photos.lan\n2\n1\na\\ b.jpg\n3\n-x y\n4\n-x y\nwhat\n9\n1\n\n0\n");
    let said = said + &menu("pt_BR.UTF-8", "\nlistar\n5\n");
    // Its input ends (Ctrl-D).
    let said = said + &menu("C", "\n\x04");
    insta::assert_snapshot!(said_alone(&said));
}

/// Without bars, which are drawn now and then.
fn said_alone(said: &str) -> String {
    said.lines()
        .map(|line| line.rsplit("\x1b[2K").next().unwrap_or(line))
        .map(|line| line.rsplit('\r').next().unwrap_or(line).trim_end())
        .filter(|line| !line.contains(['█', '░']))
        // Whether a question still stands before what follows is the bar's doing.
        .map(|line| {
            let begin = ["stored ", "imgctl:"].iter().find_map(|word| line.find(word));
            begin.map_or(line, |at| &line[at..])
        })
        .fold(String::new(), |text, line| text + line + "\n")
}

#[test]
fn without_a_daemon_there_is_no_menu() {
    let home = tempfile::tempdir().unwrap();
    let (said, code) = on_terminal(stub::imgctl(home.path(), &["--color", "never", "status"]), "");
    assert_eq!(code, 3, "{said}");
    let (said, code) = on_terminal(stub::imgctl(home.path(), &[]), "");
    assert_eq!(code, 3, "{said}");
    assert!(said.contains("start it: imgrepod"), "{said}");
}

#[test]
fn a_status_that_is_followed_stands_in_one_place() {
    let round = std::sync::atomic::AtomicU64::new(0);
    let stub = Stub::new(move |_, _| {
        let round = round.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let mut status = Box::new(status(SessionState::Connected));
        let moving = TransferStatus {
            name: "beach.jpg".into(),
            direction: Direction::Up,
            phase: Phase::Sending,
            done: 25 * (round + 1),
            total: 100,
            queued: None,
        };
        status.transfers.push(moving);
        match round {
            0..3 => done(Outcome::Status(status)),
            _ => refused(Refusal::new(ErrorCode::Internal, "the end of the test")),
        }
    });
    let (said, code) = on_terminal(stub.imgctl(&["status", "-f"]), "");
    assert_eq!(code, 1, "{said}");
    for percent in ["25%  [#####               ]", "50%  [##########", "75%  [###############"] {
        assert!(said.contains(percent), "{percent}: {said:?}");
    }
    assert!(said.matches("\x1b[2K").count() > 6, "drawn over itself: {said:?}");
    assert!(said.contains("the end of the test"), "{said:?}");
}

/// What lets in, in the tests here.
const LINK: &str = "imgrepo://photos.lan:8765/#s3cr3t,AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8";

#[test]
fn an_invitation_is_a_link_a_code_and_what_to_know_of_it() {
    let stub = Stub::new(|request, _| {
        if *request == Request::Status {
            return done(Outcome::Status(Box::new(status(SessionState::Connected))));
        }
        let at = |text: &str| text.parse().unwrap();
        let invitation = Invitation {
            id: InvitationId(3),
            role: Some(AccountRole::Member),
            person: None,
            guest: None,
            uses: 1,
            by: "ana".into(),
            since: at("2026-11-23T06:20:01Z"),
            expires: at("2026-11-30T06:20:01Z"),
            revoked: None,
        };
        let secret = |text: &str| Secret::parse(text).unwrap();
        let mut page = "https://photos.lan:8765/join#s3cr3t".to_owned();
        if let Request::People(PeopleRequest::Invite(Invite { uses: Some(2), .. })) = request {
            // Its code is wider than the terminal.
            page += &"x".repeat(1000);
        }
        let (link, page) = (secret(LINK), secret(&page));
        let notice = Some("it listens on the loopback alone".to_owned());
        let reply = InviteReply { invitation, link, page, notice };
        done(Outcome::People(Box::new(PeopleOutcome::Invited(reply))))
    });
    insta::assert_snapshot!(show(
        &stub,
        &[&["invite"], &["invite", "--no-qr"], &["--color", "never", "login-link"]]
    ));
    let too_wide = show(&stub, &[&["invite", "--uses", "2"]]);
    assert!(too_wide.contains("in a browser: ") && !too_wide.contains('█'), "{too_wide}");
}

#[test]
fn the_record_is_a_table_that_ends_with_what_shows_more() {
    let stub = Stub::new(|request, _| match request {
        Request::People(PeopleRequest::Audit(audit)) => {
            assert_eq!(audit.limit, Some(if audit.before.is_some() { 49 } else { 50 }));
            let entry = |id: u64, count: usize| AuditEntry {
                id,
                at: "2026-11-23T06:20:01Z".parse().unwrap(),
                by: "ana".into(),
                from: "local".into(),
                act: "invite".into(),
                object: "x".repeat(count),
            };
            let (entries, next) = match audit.before {
                None => (vec![entry(99, 3)], Some(99)),
                Some(_) => ((0..49).map(|_| entry(98, 1)).collect(), Some(50)),
            };
            let page = AuditReply { entries, next };
            done(Outcome::People(Box::new(PeopleOutcome::Audit(page))))
        }
        other => panic!("not asked here: {other:?}"),
    });
    let (said, code) = on_terminal(stub.imgctl(&["--color", "never", "audit"]), "");
    assert_eq!(code, 0);
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(lines.len(), 52);
    assert_eq!(lines[0], "AT                BY   FROM   DID     TO");
    assert_eq!(lines[1], "2026-11-23 06:20  ana  local  invite  xxx");
    assert_eq!(lines[51], "there is more: imgctl audit --all");
}
