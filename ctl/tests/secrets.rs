//! That what lets in is handed over by the commands that are for that, and by nothing else, and is not
//! shown while it is pasted.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used)] // A test fails so.

mod stub;

use std::fs::File;
use std::io::{Read as _, Write as _};

use imgrepo_proto::control::Request;
use imgrepo_proto::session::command::Invite;
use imgrepo_proto::{ErrorCode, Refusal};
use rustix::process::{Pid, Signal, kill_process};
use rustix::pty::ptsname;
use rustix::termios::{LocalModes, tcgetattr};
use stub::admin::{CANARY, admin, invited, link};
use stub::screen::{begin, rest};
use stub::{Stub, refused, transcript};

/// Every word that may be said of people, and some that may not.
fn every_line(link: &str) -> Vec<Vec<&str>> {
    let lines: [&[&str]; 25] = [
        &["status"],
        &["status", "--long"],
        &["connect", link],
        &["join", link],
        &["join", link, link],
        &["join", "--user", "ana", "--device", "laptop", link],
        &["join", "--link", link],
        &["people", "ls"],
        &["people", "role", "ana", "admin"],
        &["people", "role", "ana", link],
        &["people", "disable", "ana"],
        &["people", "enable", "ana"],
        &["people", link],
        &["devices", "ls"],
        &["devices", "ls", "--user", "ana"],
        &["devices", "revoke", "7"],
        &["devices", "revoke", link],
        &["invite", "ls"],
        &["invite", "revoke", "3"],
        &["invite", link],
        &["audit"],
        &["audit", "--limit", link],
        &["--timeout", link, "join"],
        &["list"],
        &[link],
    ];
    lines.into_iter().map(<[&str]>::to_vec).collect()
}

#[test]
fn what_lets_in_is_said_by_nothing_that_was_not_asked_for_it() {
    // Whatever is asked, it answers with what lets in.
    let confused = Stub::new(|_, _| invited(&Invite::default()));
    let right = Stub::new(|request, bytes| match request {
        Request::List(_) => refused(Refusal::new(ErrorCode::NotConnected, "there is no session")),
        _ => admin(request, bytes),
    });
    let nobody = tempfile::tempdir().unwrap();
    let link = link();
    for line in every_line(&link) {
        for more in [&[][..], &["--json"], &["-v"], &["--json", "-q"]] {
            // Before the words: clap may end at a wrong one.
            let args = [more, &line].concat();
            let mut all = vec![confused.transcript(&args), right.transcript(&args)];
            // Where there is no daemon `join` starts one, which is another test's.
            if !line.contains(&"join") {
                all.push(transcript(stub::imgctl(nobody.path(), &args), &args, nobody.path()));
            }
            for said in all {
                let (asked, said) = said.split_once('\n').unwrap();
                assert!(!said.contains(CANARY), "{asked}\n{said}");
                assert!(!said.contains("panicked"), "{asked}\n{said}");
            }
        }
    }
    // The stub has it: it is told where it is asked for.
    for args in [&["invite"][..], &["devices", "add"], &["login-link"]] {
        assert!(right.transcript(args).contains(CANARY));
    }
}

#[test]
fn an_invitation_is_not_shown_while_it_is_pasted() {
    let stub = Stub::new(admin);
    let (mut child, mut terminal) = begin(stub.imgctl(&["--color", "never", "join"]), true);
    let mut said = asked(&mut terminal);
    terminal.write_all(format!("{}\n", link()).as_bytes()).unwrap();
    said += &rest(&mut terminal);
    assert_eq!(child.wait().unwrap().code(), Some(0), "{said}");
    assert_eq!(
        said,
        "Paste the invitation (it is not shown): \n\
         you are ana (member) at ws://photos.lan:8765/\n\
         encrypted, known by its invitation\n\
         next: imgctl watch add DIR\n"
    );
}

#[test]
fn a_terminal_shows_what_is_typed_again_however_a_question_ends() {
    let stub = Stub::new(|request, _| panic!("not asked here: {request:?}"));
    for signal in [Signal::INT, Signal::TERM] {
        let (mut child, mut terminal) = begin(stub.imgctl(&["join"]), true);
        // As the shell that goes on there: else it would be gone with the child.
        let name = ptsname(&terminal, Vec::new()).unwrap();
        let _shell = File::options().read(true).write(true).open(name.to_str().unwrap()).unwrap();
        let shows =
            |terminal: &File| tcgetattr(terminal).unwrap().local_modes.contains(LocalModes::ECHO);
        asked(&mut terminal);
        assert!(!shows(&terminal));
        kill_process(Pid::from_child(&child), signal).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(130));
        assert!(shows(&terminal));
    }
}

/// What stands on a terminal until the question for an invitation.
fn asked(terminal: &mut File) -> String {
    let mut said = Vec::new();
    let mut byte = [0];
    while !said.ends_with(b"(it is not shown): ") {
        terminal.read_exact(&mut byte).unwrap();
        said.push(byte[0]);
    }
    String::from_utf8(said).unwrap().replace("\r\n", "\n")
}
