//! Where there is no window: nowhere to open one on, or no program for it.

use crate::stage::Stage;

#[test]
fn without_a_display_it_says_so() {
    let stage = Stage::set();
    for program in [&["imgview"][..], &["imgctl", "view"], &["imgctl", "view", "rocket.jpg"]] {
        let mut command = stage.command(program[0]);
        let output = command.args(&program[1..]).env_remove("DISPLAY").output().unwrap();
        let words = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{words}");
        assert!(words.contains("there is no display to open a window on\nhint: "), "{words}");
    }
    let mut command = stage.command("imgctl");
    let output = command.args(["view", "--json"]).env("DISPLAY", ":59999").output().unwrap();
    let document: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(
        document["error"]["message"].as_str().unwrap().contains("cannot be opened"),
        "{document}"
    );
}

#[test]
fn a_wrong_name_opens_nothing_and_no_daemon_is_3() {
    let stage = Stage::set();
    assert_eq!(stage.json(&["view", "nothing.jpg"]).0, 5);
    assert_eq!(stage.window(), None);
    let bare = Stage::bare();
    assert_eq!(bare.json(&["view"]).0, 3);
    assert_eq!(bare.window(), None);
}
