//! What the commands do to files and ask of the manager, which is played. Whole daemons by a real
//! one are in `tests/service.rs`.

#![cfg(target_os = "linux")]

use std::fs;
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::*;

/// A manager that never runs anything; what it was asked is written down.
#[derive(Clone, Default)]
struct Played {
    asked: Arc<Mutex<Vec<String>>>,
    lingers: Option<bool>,
}

impl Commands for Played {
    fn run(&self, program: &str, arguments: &[&str], _: Duration) -> io::Result<Answer> {
        let line = format!("{program} {}", arguments.join(" "));
        let answer = match (program, self.lingers) {
            ("loginctl", Some(lingers)) => {
                let word = if lingers { "yes" } else { "no" };
                Answer { success: true, said: format!("Linger={word}\n"), ..Answer::default() }
            }
            ("loginctl", None) => Answer { complaint: "no logind".to_owned(), ..Answer::default() },
            _ => Answer { complaint: "no bus".to_owned(), ..Answer::default() },
        };
        self.asked.lock().unwrap().push(line);
        Ok(answer)
    }
}

struct Scene {
    home: tempfile::TempDir,
    played: Played,
}

impl Scene {
    fn new(lingers: Option<bool>) -> Scene {
        Scene {
            home: tempfile::tempdir().unwrap(),
            played: Played { lingers, ..Played::default() },
        }
    }

    fn service(&self, home: Option<&str>) -> Service {
        let at = |name: &str| self.home.path().join(name);
        let login = Login {
            units: Some(at("user")),
            entries: vec![at("autostart")],
            home: home.map(PathBuf::from),
            ..Login::default()
        };
        let paths = Paths {
            config: at("config.toml"),
            state: at("state"),
            data: at("data"),
            cache: at("cache"),
            endpoint: Endpoint::at(at("run"), "control.sock"),
            login,
        };
        Service::new(&paths, self.played.clone())
    }

    fn start(&self, home: Option<&str>, arguments: &[&str]) -> Start {
        let program = self.home.path().join("imgrepod");
        fs::write(&program, "").unwrap();
        let environment = home.map(|home| ("IMGREPO_HOME".to_owned(), home.into()));
        let arguments = arguments.iter().map(Into::into).collect();
        Start { program, arguments, environment: environment.into_iter().collect() }
    }

    fn unit(&self) -> PathBuf {
        self.home.path().join("user/imgrepod.service")
    }

    fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.played.asked.lock().unwrap())
    }
}

#[test]
fn where_no_manager_answers_it_is_made_for_the_next_login_and_the_rest_is_said() {
    let scene = Scene::new(None);
    let service = scene.service(None);
    assert_eq!(service.autostart(), None);
    assert_eq!(service.start().unwrap_err().code, ErrorCode::NotFound);
    let start = scene.start(None, &["--serve"]);
    let steps = service.install(&start, false).unwrap();
    assert_eq!(steps[0], format!("wrote `{}`", scene.unit().display()));
    let status = service.status().unwrap();
    assert!(status.installed && status.enabled && !status.running);
    assert_eq!(status.problems.len(), 1);
    assert!(status.problems[0].message.ends_with("starts nothing now: no bus"));
    let hint = format!("start the daemon by hand: {}", start.command());
    assert_eq!(status.problems[0].hint, Some(hint.clone()));
    assert_eq!(service.autostart().as_deref(), Some("systemd"));
    assert_eq!(service.start().unwrap_err().hint, Some(hint));
    let link = scene.home.path().join("user/default.target.wants/imgrepod.service");
    assert_eq!(fs::read_link(&link).unwrap(), scene.unit());

    // Again is nothing; otherwise is said.
    let before = fs::metadata(scene.unit()).unwrap().modified().unwrap();
    assert!(service.install(&start, false).unwrap()[0].ends_with("says the same"));
    assert_eq!(fs::metadata(scene.unit()).unwrap().modified().unwrap(), before);
    let steps = service.install(&scene.start(None, &[]), false).unwrap();
    assert_eq!(steps[1], format!("it started `{}`", start.command()));

    fs::remove_file(&link).unwrap();
    let status = service.status().unwrap();
    assert!(!status.enabled && status.problems[0].message.contains("not enabled"));
    fs::remove_file(scene.home.path().join("imgrepod")).unwrap();
    assert!(service.status().unwrap().problems[0].message.contains("is not there"));

    service.uninstall().unwrap();
    assert_eq!(fs::read_dir(scene.home.path().join("user")).unwrap().count(), 0);
    assert_eq!(service.uninstall().unwrap(), ["no service is installed"]);
}

#[test]
fn what_is_anothers_is_left_alone() {
    let scene = Scene::new(None);
    let service = scene.service(None);
    let start = scene.start(None, &[]);
    fs::create_dir(scene.home.path().join("user")).unwrap();
    let theirs = "[Service]\nExecStart=/usr/bin/imgrepod\n";
    fs::write(scene.unit(), theirs).unwrap();
    assert_eq!(service.install(&start, false).unwrap_err().code, ErrorCode::Conflict);
    assert_eq!(service.uninstall().unwrap_err().code, ErrorCode::Conflict);
    assert_eq!(service.stop().unwrap_err().code, ErrorCode::Conflict);
    assert_eq!(fs::read_to_string(scene.unit()).unwrap(), theirs);
    assert!(!service.status().unwrap().installed);
    fs::remove_file(scene.unit()).unwrap();

    // Another home's.
    let other = scene.service(Some("/h"));
    other.install(&scene.start(Some("/h"), &[]), false).unwrap();
    let refused = service.install(&start, false).unwrap_err();
    assert!(refused.message.ends_with("starts the daemon of IMGREPO_HOME `/h`, not this one"));
    let command = "IMGREPO_HOME='/h' imgrepod service uninstall";
    assert!(refused.hint.unwrap().ends_with(command));
    assert_eq!((service.autostart(), other.autostart()), (None, Some("systemd".to_owned())));
    other.uninstall().unwrap();

    // Something else starts it.
    let entries = scene.home.path().join("autostart");
    fs::create_dir(&entries).unwrap();
    fs::write(entries.join("i.desktop"), "[Desktop Entry]\nExec=imgrepod\n").unwrap();
    let refused = service.install(&start, false).unwrap_err();
    assert!(refused.message.contains("something else starts the daemon: the autostart entry"));
    assert!(!scene.unit().exists());
    assert_eq!(scene.service(None).autostart().as_deref(), Some("autostart entry"));
}

#[test]
fn in_the_background_it_gets_in_nobodys_way() {
    let scene = Scene::new(None);
    let start = scene.start(None, &["--serve"]);
    let kept = scene.home.path().join("state/background.json");
    // The program of this scene is none.
    let refused = scene.service(None).in_background().install(&start, false).unwrap_err();
    assert!(refused.message.starts_with("cannot start `"), "{refused}");
    assert!(!kept.exists() && !scene.unit().exists());
    fs::write(&kept, scene.service(None).background().write(&start).unwrap()).unwrap();
    let status = scene.service(None).as_installed().status().unwrap();
    assert_eq!((status.manager, status.installed), ("background", true));
    assert!(!status.enabled && !status.running && status.absent.is_none());
    assert_eq!(status.arguments.unwrap(), ["--serve"]);
    assert_eq!(scene.service(None).as_installed().told().unwrap(), start);
    assert_eq!(scene.service(None).autostart(), None);

    // What the manager takes over is its own from then on.
    scene.service(None).install(&start, false).unwrap();
    assert!(!kept.exists());
    let status = scene.service(None).as_installed().status().unwrap();
    assert_eq!((status.manager, status.absent.as_deref()), ("systemd", Some("no bus")));
    let status = scene.service(Some("/h")).as_installed().status().unwrap();
    assert!(status.elsewhere && !status.installed);
    scene.service(None).uninstall().unwrap();

    // What cannot be read is neither replaced nor removed.
    fs::write(&kept, "{").unwrap();
    for service in [scene.service(None), scene.service(None).in_background()] {
        assert_eq!(service.install(&start, false).unwrap_err().code, ErrorCode::Conflict);
    }
    let service = scene.service(None).as_installed();
    assert_eq!(service.uninstall().unwrap_err().code, ErrorCode::Conflict);
    assert_eq!(fs::read_to_string(&kept).unwrap(), "{");
    fs::remove_file(&kept).unwrap();

    // A unit by hand is kept, and used as it is.
    fs::create_dir_all(scene.unit().parent().unwrap()).unwrap();
    fs::write(scene.unit(), "[Service]\nExecStart=/usr/bin/imgrepod\n").unwrap();
    let refused = scene.service(None).in_background().install(&start, false).unwrap_err();
    assert_eq!(refused.code, ErrorCode::Conflict);
    assert!(!kept.exists());
}

#[test]
fn lingering_is_asked_for_only_when_told() {
    let scene = Scene::new(Some(false));
    let start = scene.start(None, &[]);
    let steps = scene.service(None).install(&start, false).unwrap();
    assert!(steps.last().unwrap().contains("install --linger"));
    let enables = |asked: Vec<String>| asked.iter().filter(|line| line.contains("enable-")).count();
    assert_eq!(enables(scene.asked()), 0);
    let steps = scene.service(None).install(&start, true).unwrap();
    assert!(steps.last().unwrap().contains("from now on"));
    assert_eq!(enables(scene.asked()), 1);
    assert_eq!(scene.service(None).status().unwrap().lingering, Some(false));
    // Refused: the service is there all the same.
    let scene = Scene::new(None);
    let start = scene.start(None, &[]);
    assert_eq!(scene.service(None).install(&start, true).unwrap_err().code, ErrorCode::Denied);
    assert!(scene.service(None).status().unwrap().enabled);
}

#[test]
fn the_other_systems_files_are_read_as_they_are_written() {
    let scene = Scene::new(None);
    let service = scene.service(None);
    let start = scene.start(Some("/h & <m>"), &["--serve", "--user=é"]);
    let launchd = launchd::Launchd { login: &service.login, commands: &scene.played };
    assert_eq!(launchd.read(&launchd.write(&start).unwrap()), Some(start.clone()));
    assert_eq!(launchd.read("<plist>"), None);
    let tasks = windows::Tasks { login: &service.login, commands: &scene.played };
    assert_eq!(tasks.write(&start).unwrap_err().code, ErrorCode::Usage);
    let start = scene.start(None, &["--serve", "100%", "a b"]);
    assert_eq!(tasks.read(&tasks.write(&start).unwrap()), Some(start));
    assert_eq!(tasks.read(""), None);
}
