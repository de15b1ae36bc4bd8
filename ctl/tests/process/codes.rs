//! Every exit code of the contract, reached by a real command; what goes to standard output and
//! what to standard error.

use std::process::Stdio;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::house::House;
use crate::under_way::Frozen;

/// Fails as told: by words on standard error, and with `--json` by one document on standard output.
fn fails(house: &House, home: &str, args: &[&str], code: i32, error: &str) {
    let (exit, out, words) = house.run(home, args);
    assert_eq!((exit, out.as_str()), (code, ""), "{args:?}: {words}");
    assert!(words.starts_with("imgctl: "), "{args:?}: {words}");
    let (exit, out, words) = house.run(home, &[args, &["--json"]].concat());
    assert_eq!((exit, words.as_str()), (code, ""), "{args:?}: {out}");
    let document: Value = serde_json::from_str(&out).unwrap();
    let told = match document.get("results") {
        Some(results) => &results[0]["error"],
        None => &document["error"],
    };
    assert_eq!((&document["v"], &told["code"]), (&json!(1), &json!(error)), "{args:?}");
    assert!(told["message"].as_str().is_some_and(|message| !message.is_empty()));
    assert!(told.get("hint").is_some(), "{args:?}: {out}");
}

#[test]
fn every_exit_code_has_its_cause() {
    let house = House::of_two();
    for (name, number) in [("a.pnm", 1), ("same.pnm", 2), ("two.pnm", 3)] {
        house.picture(name, number, 300);
    }
    std::fs::write(house.path("text.jpg"), "no image").unwrap();
    house.ok("ana", &["upload", "a.pnm"]);
    assert!(house.ok("ana", &["upload", "a.pnm"]).starts_with("duplicate"));
    house.ok("ana", &["upload", "same.pnm"]);
    house.ok("bruno", &["upload", "same.pnm"]);

    fails(&house, "ana", &["upload", "text.jpg"], 1, "not_an_image");
    fails(&house, "ana", &["connect", "http://x/"], 2, "bad_request");
    assert_eq!(house.run("ana", &["bogus"]).0, 2);
    fails(&house, "nobody", &["list"], 3, "not_running");
    fails(&house, "bruno", &["rm", "a.pnm"], 4, "denied");
    fails(&house, "ana", &["info", "gone.pnm"], 5, "not_found");
    let (code, _, words) = house.run("ana", &["upload", "two.pnm", "text.jpg"]);
    assert_eq!(code, 6, "{words}");
    fails(&house, "ana", &["info", "same.pnm"], 8, "ambiguous");
    fails(&house, "ana", &["download", "1", "-o", "a.pnm"], 8, "conflict");

    let frozen = Frozen::new(&house, "server");
    fails(&house, "ana", &["list", "--timeout", "0.2"], 9, "timed_out");
    let list = house.imgctl("ana", &["list"]).spawn().unwrap();
    // Whether it has asked yet or not, it ends.
    kill_when_it_listens(&list);
    assert_eq!(list.wait_with_output().unwrap().status.code(), Some(130));
    drop(frozen);

    house.ok("ana", &["disconnect"]);
    fails(&house, "ana", &["list"], 7, "not_connected");
}

/// Interrupts a process as soon as it would notice.
fn kill_when_it_listens(child: &std::process::Child) {
    let status = format!("/proc/{}/status", child.id());
    let catches = || {
        let text = std::fs::read_to_string(&status).unwrap();
        let caught = text.lines().find_map(|line| line.strip_prefix("SigCgt:")).unwrap().trim();
        u64::from_str_radix(caught, 16).unwrap() & (1 << (2 - 1)) != 0
    };
    while !catches() {}
    kill_process(Pid::from_child(child), Signal::INT).unwrap();
}

#[test]
fn a_closed_pipe_is_no_error() {
    let house = House::of_two();
    for number in 0..20 {
        house.picture(&format!("{number}.pnm"), number, 300);
    }
    let names: Vec<_> = (0..20).map(|number| format!("{number}.pnm")).collect();
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    house.ok("ana", &[&["upload"], &names[..]].concat());
    for args in [&["list"][..], &["list", "--json"], &["events", "--since", "0"]] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut command = house.imgctl("ana", args);
        let output = command.stdout(writer).stderr(Stdio::piped()).output().unwrap();
        let words = String::from_utf8(output.stderr).unwrap();
        assert_eq!((output.status.code(), words.as_str()), (Some(0), ""), "{args:?}");
    }
}
