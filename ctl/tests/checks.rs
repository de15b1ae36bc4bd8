//! What `verify` and `doctor` find, and how the daemon is to be started, to the letter.

#![cfg(unix)]
#![allow(clippy::unwrap_used)] // A test fails so.

mod stub;

use std::collections::BTreeMap;
use std::fs;

use imgrepo_proto::control::finding::{Finding, FindingState};
use imgrepo_proto::control::{Outcome, Request};
use imgrepo_proto::session::reply::{HaveReply, ListReply};
use imgrepo_proto::{BlobHash, ErrorCode, ImageId, Refusal};
use stub::{Say, Stub, done, image, imgctl, refused, transcript, transcripts};

#[test]
fn verifying() {
    let stub = Stub::new(|request, _| match request {
        Request::Have(hashes) => {
            assert!(hashes.len() <= 1000);
            let kept = BlobHash(*blake3::hash(b"kept").as_bytes());
            let have: BTreeMap<_, _> = hashes
                .iter()
                .map(|hash| (*hash, if *hash == kept { vec![ImageId(7)] } else { vec![] }))
                .collect();
            done(Outcome::Have(HaveReply { have }))
        }
        Request::List(list) => {
            let name = list.filter.exact_name.as_deref().unwrap();
            let images = if name == "other.jpg" { vec![image(9, name)] } else { vec![] };
            done(Outcome::Images(ListReply { images, next: None, total: None }))
        }
        other => panic!("not asked here: {other:?}"),
    });
    let file = |name: &str, content: &str| fs::write(stub.home.path().join(name), content).unwrap();
    for name in ["good", "bad"] {
        fs::create_dir(stub.home.path().join(name)).unwrap();
    }
    file("good/a.jpg", "kept");
    file("good/b.jpg", "kept");
    file("bad/a.jpg", "kept");
    file("bad/new.jpg", "nowhere");
    file("bad/other.jpg", "changed");
    insta::assert_snapshot!(transcripts(
        &stub,
        &[
            &["verify", "good"],
            &["verify", "good", "--json"],
            &["verify", "bad"],
            &["-q", "verify", "bad"],
            &["verify", "bad", "--json"],
            &["verify", "gone.jpg"],
            &["verify", "good", "gone.jpg", "--json"],
            &["verify", "-"],
        ]
    ));
    // More than one question holds.
    fs::create_dir(stub.home.path().join("many")).unwrap();
    for number in 0..1001 {
        file(&format!("many/{number}"), &number.to_string());
    }
    file("many/kept", "kept");
    let output = stub.imgctl(&["verify", "many"]).output().unwrap();
    assert_eq!(output.status.code(), Some(6));
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(said, "1 stored, 1001 missing, 0 different\n");
}

#[test]
fn verifying_needs_a_repository_that_can_tell() {
    let stub = Stub::new(|_, _| {
        refused(Refusal::new(ErrorCode::Unsupported, "an old server cannot tell its contents"))
    });
    insta::assert_snapshot!(transcripts(&stub, &[&["verify", "."], &["verify", ".", "--json"]]));
}

#[test]
fn a_look_at_everything() {
    let finding = |check: &str, state, message: &str, hint: Option<&str>| Finding {
        check: check.into(),
        state,
        message: message.into(),
        hint: hint.map(str::to_owned),
    };
    let found = move |bad: bool| {
        let mut found = vec![
            finding("socket", FindingState::Ok, "/run/user/7/imgrepo/control.sock", None),
            finding("inotify", FindingState::Warning, "8192 watches", Some("raise them")),
        ];
        if bad {
            found.push(finding("space", FindingState::Problem, "the disk is full", Some("rm")));
        }
        done(Outcome::Findings(found))
    };
    let fine = Stub::new(move |_, _| found(false));
    let bad = Stub::new(move |_, _| found(true));
    let old = Stub::new(|_, _| {
        refused(Refusal::new(ErrorCode::Unsupported, "the daemon does not know this request"))
    });
    let mut said = transcripts(&fine, &[&["doctor"], &["doctor", "--json"]]);
    said += &transcripts(&bad, &[&["doctor"], &["doctor", "--json"]]);
    said += &transcripts(&old, &[&["doctor"]]);
    insta::assert_snapshot!(said);
}

#[test]
fn a_look_where_there_is_no_daemon() {
    use std::os::unix::fs::PermissionsExt as _;
    let home = tempfile::tempdir().unwrap();
    // Not beside any imgrepod: the one in PATH is asked.
    let own = home.path().join("imgctl");
    fs::copy(assert_cmd::cargo::cargo_bin!("imgctl"), &own).unwrap();
    let run = |args: &[&str]| {
        let mut command = std::process::Command::new(&own);
        let set = imgctl(home.path(), args);
        for (name, value) in set.get_envs() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        command.args(args).env("PATH", home.path()).current_dir(home.path());
        transcript(command, args, home.path())
    };
    let mut said = run(&["doctor"]);
    let fake = home.path().join("imgrepod");
    let service = r#"{"v":1,"service":{"installed":false,"enabled":false,"running":false,"manager":"systemd","unit":null,"lingering":null,"program":"/p","problems":[]}}"#;
    fs::write(&fake, format!("#!/bin/sh\necho '{service}'\n")).unwrap();
    fs::set_permissions(&fake, fs::Permissions::from_mode(0o755)).unwrap();
    said += &run(&["doctor"]);
    said += &run(&["doctor", "--json"]);
    insta::assert_snapshot!(said);
}

#[test]
fn where_a_unit_is_installed_it_starts_the_daemon() {
    let home = tempfile::tempdir().unwrap();
    let folder = home.path().join("config/systemd/user");
    fs::create_dir_all(&folder).unwrap();
    let unit = format!("Environment=IMGREPO_HOME={}\n", home.path().display());
    fs::write(folder.join("imgrepod.service"), unit).unwrap();
    let args = ["list"];
    let said = transcript(imgctl(home.path(), &args), &args, home.path());
    let hint = "stderr| hint: start it: imgrepod service start\nexit 3";
    assert!(said.contains(hint), "{said}");

    // The same where it ends before it answers.
    let stub = Stub::new(|_, _| vec![Say::Close]);
    fs::rename(home.path().join("config"), stub.home.path().join("config")).unwrap();
    let unit = format!("Environment=IMGREPO_HOME={}\n", stub.home.path().display());
    fs::write(stub.home.path().join("config/systemd/user/imgrepod.service"), unit).unwrap();
    fs::write(stub.home.path().join("a.jpg"), "a").unwrap();
    let lines: [&[&str]; 5] = [
        &["list"],
        &["queue", "ls"],
        &["upload", "a.jpg"],
        &["download", "a.jpg"],
        &["verify", "."],
    ];
    for args in lines {
        let said = stub.transcript(args);
        assert!(said.contains(hint), "{said}");
    }
}
