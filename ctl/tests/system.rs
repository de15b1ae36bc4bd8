//! `imgctl` with real daemons: a server and two people.

#![cfg(unix)]
#![allow(clippy::unwrap_used)] // A test fails so.

mod house;

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;
use std::thread;

use house::House;
use serde_json::{Value, json};

#[test]
fn what_one_uploads_the_other_sees_lists_and_downloads() {
    let house = House::of_two();
    let content = house.picture("beach.pnm", 1, 100_000);
    let mut follower =
        house.imgctl("bruno", &["events", "-f", "--since", "0", "--json"]).spawn().unwrap();
    let mut events = BufReader::new(follower.stdout.take().unwrap()).lines();
    let mut event = || -> Value { serde_json::from_str(&events.next().unwrap().unwrap()).unwrap() };

    assert_eq!(house.ok("ana", &["upload", "beach.pnm"]), "stored        1  beach.pnm\n");
    assert_eq!(house.ok("ana", &["upload", "beach.pnm"]), "duplicate     1  beach.pnm\n");
    let seen = event();
    assert_eq!(
        (&seen["event"], &seen["seq"], &seen["by"]),
        (&json!("NEW_UPLOAD"), &json!(1), &json!("ana"))
    );
    assert_eq!(house.ok("bruno", &["list"]), "beach.pnm\n");
    let (_, info) = house.json("bruno", &["info", "@last"]);
    assert_eq!(info["image"]["size"], content.len());
    assert_eq!(info["image"], seen["image"]);

    assert_eq!(
        house.ok("bruno", &["download", "beach.pnm", "-o", "copy.pnm"]),
        "saved         1  copy.pnm\n"
    );
    assert_eq!(fs::read(house.path("copy.pnm")).unwrap(), content);
    let (code, out) = house.json("bruno", &["download", "1", "-o", "copy.pnm"]);
    assert_eq!((code, &out["results"][0]["error"]["code"]), (8, &json!("conflict")));

    assert_eq!(house.ok("ana", &["rename", "1", "shore.pnm"]), "renamed       1  shore.pnm\n");
    assert_eq!(event()["event"], "RENAMED");
    assert_eq!(house.run("bruno", &["rm", "1"]).0, 4);
    assert_eq!(house.ok("ana", &["rm", "shore.pnm"]), "deleted       1  shore.pnm\n");
    assert_eq!(event()["event"], "DELETED");
    assert_eq!(house.ok("ana", &["list"]), "");
    assert_eq!(house.run("ana", &["info", "shore.pnm"]).0, 5);
    assert_eq!(house.ok("ana", &["trash", "ls"]), "shore.pnm\n");
    assert_eq!(house.ok("ana", &["restore", "shore.pnm"]), "restored      1  shore.pnm\n");
    assert_eq!(event()["event"], "RESTORED");
    house.ok("ana", &["rm", "1"]);
    assert_eq!(event()["event"], "DELETED");
    assert_eq!(house.ok("ana", &["trash", "empty", "--yes"]), "1 image is gone for ever\n");
    assert_eq!(event()["event"], "PURGED");
    follower.kill().unwrap();
    follower.wait().unwrap();
}

#[test]
fn what_is_no_image_is_told_before_it_is_queued() {
    let house = House::of_two();
    fs::create_dir(house.path("album")).unwrap();
    house.picture("album/a.pnm", 1, 300);
    fs::write(house.path("album/notes.txt"), "words").unwrap();
    let (code, document) = house.json("ana", &["upload", "--queue", "album"]);
    let results = document["results"].as_array().unwrap();
    let statuses: Vec<_> = results.iter().map(|result| &result["status"]).collect();
    assert_eq!((code, statuses), (0, vec![&json!("queued"), &json!("skipped")]));
    let (code, document) = house.json("ana", &["upload", "--queue", "album/notes.txt"]);
    let result = &document["results"][0];
    assert_eq!(
        (code, &result["status"], &result["error"]["code"]),
        (1, &json!("failed"), &json!("not_an_image"))
    );
    assert_eq!(house.run("ana", &["wait"]).0, 0);
}

#[test]
fn what_is_safely_stored_is_told_by_its_content() {
    let house = House::of_two();
    fs::create_dir(house.path("album")).unwrap();
    for (number, name) in ["a.pnm", "b.pnm", "c.pnm"].iter().enumerate() {
        house.picture(&format!("album/{name}"), number as u32, 300);
    }
    let (code, document) = house.json("ana", &["verify", "album"]);
    let statuses = |document: &Value| -> Vec<Value> {
        let results = document["results"].as_array().unwrap();
        results.iter().map(|result| result["status"].clone()).collect()
    };
    assert_eq!((code, statuses(&document)), (6, vec![json!("missing"); 3]));
    house.ok("ana", &["upload", "album"]);
    // The files of a folder go up side by side: which of them is the first is chance.
    let (_, first) = house.json("ana", &["info", "a.pnm"]);
    fs::rename(house.path("album/a.pnm"), house.path("album/renamed.pnm")).unwrap();
    assert_eq!(house.ok("bruno", &["verify", "album"]).lines().count(), 3);
    house.picture("album/b.pnm", 7, 300);
    house.ok("ana", &["rm", "c.pnm"]);
    let (code, out, words) = house.run("ana", &["verify", "album"]);
    assert_eq!((code, words.as_str()), (6, "1 stored, 1 missing, 1 different\n"));
    let lines: Vec<_> = out.lines().collect();
    assert!(lines[0].starts_with("differs") && lines[0].ends_with("album/b.pnm"), "{out}");
    let stored = format!("stored        {}  album/renamed.pnm", first["image"]["id"]);
    assert_eq!(lines[1..], ["missing       -  album/c.pnm", stored.as_str()]);
}

#[test]
fn a_folder_goes_up_and_comes_down_whatever_its_files_are_called() {
    let house = House::of_two();
    let names = [
        "a b.pnm",
        "写真.pnm",
        "NUL.jpg",
        "-dash.pnm",
        ".hidden",
        "it's \"x\"\n.pnm",
        "7",
        "twice.pnm",
    ];
    fs::create_dir_all(house.path("album/more")).unwrap();
    for (number, name) in names.iter().enumerate() {
        house.picture(&format!("album/{name}"), number as u32, 300);
    }
    house.picture("album/more/twice.pnm", 99, 300);
    fs::write(house.path("album/notes.txt"), "no image").unwrap();
    fs::write(house.path("album/empty.jpg"), "").unwrap();
    std::os::unix::fs::symlink(house.path("album"), house.path("album/more/loop")).unwrap();
    let (code, document) = house.json("ana", &["upload", "album"]);
    assert_eq!(code, 0, "{document}");
    let results = document["results"].as_array().unwrap();
    let count = |status: &str| results.iter().filter(|result| result["status"] == status).count();
    assert_eq!((count("stored"), count("skipped")), (9, 2), "{document}");

    let (_, list) = house.json("bruno", &["list"]);
    assert_eq!((list["images"].as_array().unwrap().len(), &list["total"]), (9, &json!(9)));
    let (code, _, why) = house.run("bruno", &["info", "twice.pnm"]);
    assert_eq!(code, 8, "{why}");
    assert_eq!(house.run("bruno", &["info", "7"]).0, 0);
    assert!(house.ok("bruno", &["info", "name:7"]).contains("name      7\n"));
    assert_eq!(house.ok("bruno", &["list", "*.PNM", "--user", "ana"]).lines().count(), 6);

    fs::create_dir(house.path("into")).unwrap();
    let ids: Vec<String> = (1..=9).map(|id: u32| id.to_string()).collect();
    let args: Vec<&str> =
        ["download", "-o", "into"].into_iter().chain(ids.iter().map(String::as_str)).collect();
    house.ok("bruno", &args);
    let mut saved: Vec<_> = fs::read_dir(house.path("into"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    saved.sort();
    assert_eq!(saved.len(), 9, "{saved:?}");
    for name in ["_NUL.jpg", "_.hidden", "it's %22x%22%0A.pnm", "写真.pnm", "twice.pnm"] {
        assert!(saved.iter().any(|saved| saved == name), "{name}: {saved:?}");
    }
    // Nothing is left of the way there, and the rights are the caller's.
    let mode = fs::metadata(house.path("into/7")).unwrap().permissions().mode();
    let own = house.path("own");
    fs::write(&own, "").unwrap();
    assert_eq!(mode, fs::metadata(own).unwrap().permissions().mode());
}

#[test]
fn every_way_in_and_out_gives_the_same_bytes() {
    let house = House::of_two();
    let content = house::picture(5, 3_000_000);
    let (code, out, why) = house.feed("ana", &["upload", "-", "--name", "stdin.pnm"], &content);
    assert_eq!((code, out.as_str()), (0, "stored        1  stdin.pnm\n"), "{why}");

    let pipe = house.path("pipe.pnm");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let other = house::picture(6, 3_000_000);
    let fed = other.clone();
    let writer = thread::spawn(move || fs::File::create(pipe).unwrap().write_all(&fed).unwrap());
    assert_eq!(house.ok("ana", &["upload", "pipe.pnm"]), "stored        2  pipe.pnm\n");
    writer.join().unwrap();

    for (id, content) in [("1", content), ("2", other)] {
        let child = house.imgctl("bruno", &["download", id, "-o", "-"]).spawn().unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success());
        assert_eq!(output.stdout, content);
    }
}

#[test]
fn pages_follow_each_other() {
    let house = House::of_two();
    fs::create_dir(house.path("many")).unwrap();
    for number in 0..30 {
        house.picture(&format!("many/{number:02}.pnm"), number, 30);
    }
    house.ok("ana", &["upload", "many", "-q"]);
    let mut names = Vec::new();
    let mut after: Option<String> = None;
    loop {
        let mut args = vec!["list", "--limit", "7"];
        args.extend(after.iter().flat_map(|cursor| ["--after", cursor.as_str()]));
        let (code, page) = house.json("bruno", &args);
        assert_eq!(code, 0);
        names.extend(page["images"].as_array().unwrap().iter().map(|image| image["name"].clone()));
        match page["next"].as_str() {
            Some(cursor) => after = Some(cursor.to_owned()),
            None => break,
        }
    }
    names.sort_by_key(ToString::to_string);
    let all: Vec<_> = (0..30).map(|number| json!(format!("{number:02}.pnm"))).collect();
    assert_eq!(names, all);
    assert_eq!(house.run("bruno", &["list", "--after", "nonsense"]).0, 2);
}

#[test]
fn the_session_is_told_and_ended() {
    let mut house = House::new();
    house.start("ana", &["--user", "ana"]);
    let (_, status) = house.json("ana", &["status"]);
    assert_eq!((&status["session"]["state"], &status["server"]), (&json!("offline"), &Value::Null));
    let (code, document) = house.json("ana", &["list"]);
    assert_eq!((code, &document["error"]["code"]), (7, &json!("not_connected")));
    let (code, document) = house.json("ana", &["upload", "gone.jpg"]);
    assert_eq!((code, &document["results"][0]["error"]["code"]), (1, &json!("file_error")));

    let url = house.server();
    assert!(house.ok("ana", &["connect", &url]).starts_with(&format!("connected to {url} as ana")));
    assert_eq!(house.ok("ana", &["list"]), "");
    let (_, status) = house.json("server", &["status"]);
    assert_eq!(
        (&status["session"]["role"], &status["server"]["images"]),
        (&json!("owner"), &json!(0))
    );
    assert_eq!(house.ok("ana", &["disconnect"]), "offline\n");
    assert_eq!(house.run("ana", &["list"]).0, 7);

    house.ok("ana", &["connect", &url]);
    assert_eq!(house.ok("ana", &["stop"]), "stopped\n");
    assert_eq!(house.ended("ana"), Some(0));
    assert_eq!(house.run("ana", &["status"]).0, 3);
    // It remembers where it was connected.
    house.start("ana", &[]);
    assert_eq!(house.ok("ana", &["list"]), "");
}

#[test]
fn a_follower_and_an_upload_live_through_a_cut() {
    let mut house = House::new();
    let url = house.server();
    let listen = url.trim_start_matches("ws://").trim_end_matches('/').to_owned();
    house.start("ana", &["--connect", &url, "--user", "ana"]);
    house.picture("one.pnm", 1, 300);
    house.picture("two.pnm", 2, 300);
    let mut follower = house.imgctl("ana", &["events", "-f", "--since", "0"]).spawn().unwrap();
    let mut lines = BufReader::new(follower.stdout.take().unwrap()).lines();
    house.ok("ana", &["upload", "one.pnm"]);
    assert!(lines.next().unwrap().unwrap().ends_with("ana  uploaded  1  one.pnm"));
    house.kill("server");
    // It waits for the session, and the session comes back by itself.
    let upload = house.imgctl("ana", &["upload", "two.pnm"]).spawn().unwrap();
    house.start("server", &["--serve", "--listen", &listen]);
    let output = upload.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(lines.next().unwrap().unwrap().ends_with("ana  uploaded  2  two.pnm"));
    follower.kill().unwrap();
    follower.wait().unwrap();
}

#[test]
fn the_demo_holds() {
    let house = House::new();
    let mut demo = house.imgctl("demo", &["demo"]);
    // Of somebody who is called as one of the two whom it shows.
    let output = demo.env("TMPDIR", house.root.path()).env("USER", "ana").output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(said.lines().filter(|line| line.starts_with("  same  ")).count(), 3, "{said}");
    // Nothing of it is left.
    assert_eq!(fs::read_dir(house.root.path()).unwrap().count(), 0);
}

#[test]
fn the_demo_takes_other_pictures_and_can_go_on() {
    let house = House::new();
    fs::create_dir(house.path("mine")).unwrap();
    house.picture("mine/one.pnm", 1, 300);
    let mine = house.path("mine");
    let demo = house
        .imgctl("demo", &["demo"])
        .env("TMPDIR", house.root.path())
        .env("IMAGES", &mine)
        .env("KEEP", "1")
        .output()
        .unwrap();
    let said = String::from_utf8(demo.stdout).unwrap();
    assert!(demo.status.success(), "{said}{}", String::from_utf8_lossy(&demo.stderr));
    // The last three lines are commands: they are carried out as they stand.
    let commands: Vec<_> = said.lines().filter_map(|line| line.strip_prefix("  ")).collect();
    for (command, arg) in commands[commands.len() - 3..].iter().zip(["one.pnm", "", ""]) {
        let command = command.replace("PICTURE...", arg);
        let status = Command::new("sh").args(["-c", &command]).current_dir(&mine).output().unwrap();
        assert!(status.status.success(), "{command}: {}", String::from_utf8_lossy(&status.stderr));
    }
    assert_eq!(fs::read_dir(house.root.path()).unwrap().count(), 1);
}

#[test]
#[cfg(target_os = "linux")]
fn an_interrupted_demo_leaves_nothing_behind() {
    use rustix::process::{Pid, Signal, kill_process};
    let house = House::new();
    let mut demo = house.imgctl("demo", &["demo"]);
    let mut demo = demo.env("TMPDIR", house.root.path()).spawn().unwrap();
    let mut lines = BufReader::new(demo.stdout.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap().starts_with("bruno $ imgctl events")));
    kill_process(Pid::from_child(&demo), Signal::INT).unwrap();
    assert_eq!(demo.wait().unwrap().code(), Some(130));
    assert_eq!(fs::read_dir(house.root.path()).unwrap().count(), 0);
    let own = format!("IMGREPO_HOME={}/imgrepo-demo-", house.root.path().display());
    let alive = fs::read_dir("/proc").unwrap().filter(|process| {
        let environment = fs::read(process.as_ref().unwrap().path().join("environ"));
        let daemon = |bytes: &[u8]| bytes.windows(own.len()).any(|part| part == own.as_bytes());
        environment.is_ok_and(|bytes| daemon(&bytes))
    });
    assert_eq!(alive.count(), 0);
}
