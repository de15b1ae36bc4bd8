//! What wins over what, and what is refused.

use imgrepo_proto::limits::MAX_IMAGE_BYTES;

use super::*;

fn resolve(
    flags: &Flags,
    vars: &[(&str, &str)],
    remembered: &Remembered,
    file: &str,
) -> Result<Config, Refusal> {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("config.toml");
    if !file.is_empty() {
        std::fs::write(&path, file).unwrap();
    }
    let find = |name: &str| vars.iter().find(|(key, _)| *key == name);
    Config::resolve(flags, |name| find(name).map(|(_, value)| value.into()), remembered, &path)
}

fn connect(config: Config) -> (Option<String>, String) {
    match config.mode {
        Mode::Client { connect } => (connect, config.user.to_string()),
        Mode::Server(_) => panic!("a client was asked for"),
    }
}

fn server(flags: Flags, vars: &[(&str, &str)], file: &str) -> Result<ServerConfig, Refusal> {
    let flags = Flags { serve: true, ..flags };
    match resolve(&flags, vars, &Remembered::default(), file)?.mode {
        Mode::Server(server) => Ok(*server),
        Mode::Client { .. } => panic!("a server was asked for"),
    }
}

#[test]
fn flag_variable_remembered_file_default_in_this_order() {
    let file = "[client]\nconnect = \"file\"\nuser = \"filip\"\n";
    let user = |name: &str| PersonName::parse(name).ok();
    let remembered = Remembered { url: Some("state".into()), user: user("stella"), offline: false };
    let vars = [("IMGREPO_CONNECT", "env"), ("IMGREPO_USER", "eva"), ("USER", "login")];
    let flags =
        Flags { connect: Some("flag".into()), user: Some("flavia".into()), ..Flags::default() };
    let nothing = Flags::default();
    let told = |flags: &Flags, vars: &[(&str, &str)], remembered: &Remembered, file: &str| {
        let (url, user) = connect(resolve(flags, vars, remembered, file).unwrap());
        (url.unwrap_or_default(), user)
    };
    let pair = |url: &str, user: &str| (url.to_owned(), user.to_owned());
    assert_eq!(told(&flags, &vars, &remembered, file), pair("flag", "flavia"));
    assert_eq!(told(&nothing, &vars, &remembered, file), pair("env", "eva"));
    assert_eq!(told(&nothing, &vars[2..], &remembered, file), pair("state", "stella"));
    let none = Remembered::default();
    assert_eq!(told(&nothing, &vars[2..], &none, file), pair("file", "filip"));
    assert_eq!(told(&nothing, &vars[2..], &none, ""), pair("", "login"));
    let offline = Remembered { offline: true, ..remembered };
    assert_eq!(told(&nothing, &vars[2..], &offline, file), pair("", "stella"));
    assert_eq!(told(&flags, &vars, &offline, file).0, "flag");
}

#[test]
fn a_server_has_its_own_precedence_and_defaults() {
    let plain = server(Flags::default(), &[("IMGREPO_CONNECT", "x")], "").unwrap();
    assert_eq!(plain.listen.to_string(), "127.0.0.1:8765");
    assert_eq!((plain.guests, plain.plaintext_guests), (Guests::Upload, false));
    assert_eq!(plain.max_image_bytes, MAX_IMAGE_BYTES);
    let file = "[server]\nlisten = \"127.0.0.1:1\"\nmax_image_size = \"5 MiB\"\n\
                v1_budget = 7\ntrash_days = 3\nmax_sessions = 2\n";
    let told = server(Flags::default(), &[], file).unwrap();
    assert_eq!((told.listen.port(), told.max_image_bytes), (1, 5 << 20));
    assert_eq!((told.v1_budget_bytes, told.trash_days, told.max_sessions), (7, 3, 2));
    let limits =
        (plain.sessions_per_address, plain.sessions_per_person, plain.requests_per_session);
    assert_eq!((limits, plain.reserve), ((100, 64, 64), Reserve::Percent(5)));
    assert_eq!((plain.person_quota_bytes, plain.repository_quota_bytes), (None, None));
    let file = format!(
        "{file}sessions_per_address = 4\nsessions_per_person = 5\nrequests_per_session = 6\n\
         person_quota = \"1 GiB\"\nrepository_quota = \"2 GiB\"\nreserve = \"10%\"\n"
    );
    let file = file.as_str();
    let told = server(Flags::default(), &[], file).unwrap();
    let limits = (told.sessions_per_address, told.sessions_per_person, told.requests_per_session);
    assert_eq!((limits, told.reserve), ((4, 5, 6), Reserve::Percent(10)));
    assert_eq!(told.person_quota_bytes, Some(1 << 30));
    assert_eq!(told.repository_quota_bytes, Some(2 << 30));
    assert!(plain.in_file.is_empty());
    assert!(told.in_file.contains("reserve") && !told.in_file.contains("max_image"));
    let vars = [("IMGREPO_LISTEN", "[::1]:2")];
    assert_eq!(server(Flags::default(), &vars, file).unwrap().listen.to_string(), "[::1]:2");
    let flags = Flags { listen: Some("localhost:3".into()), ..Flags::default() };
    assert_eq!(server(flags, &vars, file).unwrap().listen.to_string(), "127.0.0.1:3");
    for (text, address) in
        [("::1", "[::1]:8765"), ("[::1]", "[::1]:8765"), ("127.0.0.2", "127.0.0.2:8765")]
    {
        let flags = Flags { listen: Some(text.into()), ..Flags::default() };
        assert_eq!(server(flags, &[], "").unwrap().listen.to_string(), address);
    }
}

#[test]
fn guests_are_let_in_from_elsewhere_only_where_that_is_said() {
    let here = Flags::default();
    let there = Flags { listen: Some("0.0.0.0:0".into()), ..Flags::default() };
    let proxied = Flags { behind_proxy: Some("127.0.0.1".into()), ..Flags::default() };
    let opened = |flags: &Flags| Flags { allow_guests: true, ..flags.clone() };
    let (no, view, upload) = (Guests::No, Guests::View, Guests::Upload);
    for (flags, file, guests, plaintext) in [
        (here.clone(), "", upload, false),
        (here.clone(), "guests = \"view\"\nallow_guests = false", view, true),
        (there.clone(), "", no, false),
        (proxied.clone(), "", no, false),
        (here.clone(), "guests = \"no\"", no, false),
        (here.clone(), "guests = \"view\"", view, true),
        (there.clone(), "guests = \"view\"", view, true),
        (there.clone(), "guests = \"upload\"", upload, true),
        (there.clone(), "allow_guests = true", upload, true),
        (there.clone(), "allow_guests = false", no, false),
        (here.clone(), "allow_guests = false", upload, false),
        (proxied.clone(), "guests = \"view\"", view, true),
        (opened(&there), "", upload, true),
        (opened(&here), "guests = \"no\"", upload, true),
    ] {
        let told = server(flags.clone(), &[], &format!("[server]\n{file}\n")).unwrap();
        assert_eq!((told.guests, told.plaintext_guests), (guests, plaintext), "{file} {flags:?}");
    }
    let both = server(here.clone(), &[], "[server]\nguests = \"no\"\nallow_guests = true\n");
    assert_eq!(both.unwrap_err().code, ErrorCode::FileError);
    assert!(server(here, &[], "[server]\nguests = \"yes\"\n").is_err());
}

#[test]
fn a_certificate_and_its_key_are_told_together() {
    let files = |told: ServerConfig| told.tls_files.map(|files| (files.certificate, files.key));
    let flags = Flags {
        tls_cert: Some("/a/c.pem".into()),
        tls_key: Some("/a/k.pem".into()),
        ..Flags::default()
    };
    let file = "[server]\ntls_cert = \"c.pem\"\ntls_key = \"/b/k.pem\"\n";
    assert_eq!(files(server(Flags::default(), &[], "").unwrap()), None);
    let given = files(server(flags.clone(), &[], file).unwrap());
    assert_eq!(given, Some(("/a/c.pem".into(), "/a/k.pem".into())), "the flags' win as a pair");
    let (certificate, key) = files(server(Flags::default(), &[], file).unwrap()).unwrap();
    assert_eq!(key, PathBuf::from("/b/k.pem"));
    assert!(certificate.is_absolute() && certificate.ends_with("c.pem"), "beside the file");
    assert_ne!(certificate.parent(), std::env::current_dir().ok().as_deref());
    let half = server(Flags { tls_key: None, ..flags.clone() }, &[], file).unwrap_err();
    assert_eq!(half.code, ErrorCode::Usage);
    let half = server(Flags::default(), &[], "[server]\ntls_key = \"k\"\n").unwrap_err();
    assert_eq!(half.code, ErrorCode::FileError);
    let kept = Flags { behind_proxy: Some("::1".into()), ..flags }.arguments();
    assert_eq!(kept, ["--behind-proxy=::1", "--tls-cert", "/a/c.pem", "--tls-key", "/a/k.pem"]);
}

#[test]
fn proxies_are_addresses_and_networks() {
    let told = |text: &str| {
        let flags = Flags { behind_proxy: Some(text.into()), ..Flags::default() };
        server(flags, &[], "[server]\nbehind_proxy = [\"192.0.2.1\"]\n").map(|told| {
            told.behind_proxy.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
        })
    };
    assert_eq!(told("127.0.0.1, 10.0.0.0/8").unwrap(), "127.0.0.1/32 10.0.0.0/8");
    assert_eq!(told("::1,fd00::/8,::ffff:10.0.0.1").unwrap(), "::1/128 fd00::/8 10.0.0.1/32");
    for bad in ["", "proxy", "10.0.0.1,", "10.0.0.0/33", "10.0.0.1:80"] {
        assert_eq!(told(bad).unwrap_err().code, ErrorCode::Usage, "{bad}");
    }
    let file = |text: &str| server(Flags::default(), &[], text).map(|told| told.behind_proxy.len());
    assert_eq!(file("[server]\nbehind_proxy = [\"192.0.2.1\", \"::1\"]\n").unwrap(), 2);
    assert!(file("[server]\nbehind_proxy = [\"x\"]\n").is_err());
}

#[test]
fn flags_that_exclude_each_other_are_wrong_usage() {
    let none = Remembered::default();
    for flags in [
        Flags { serve: true, connect: Some("h".into()), ..Flags::default() },
        Flags { listen: Some("h".into()), ..Flags::default() },
        Flags { allow_guests: true, ..Flags::default() },
        Flags { behind_proxy: Some("::1".into()), ..Flags::default() },
        Flags { tls_cert: Some("c".into()), tls_key: Some("k".into()), ..Flags::default() },
        Flags { serve: true, tls_key: Some("k".into()), ..Flags::default() },
        Flags { serve: true, listen: Some("127.0.0.1:x".into()), ..Flags::default() },
        Flags { user: Some(" ".into()), ..Flags::default() },
    ] {
        assert_eq!(resolve(&flags, &[], &none, "").unwrap_err().code, ErrorCode::Usage);
    }
}

#[test]
fn the_file_is_strict_and_says_where() {
    let none = Remembered::default();
    let message = |file: &str| {
        let refusal = resolve(&Flags::default(), &[], &none, file).unwrap_err();
        assert_eq!(refusal.code, ErrorCode::FileError);
        assert!(refusal.message.contains("config.toml`: "), "{}", refusal.message);
        refusal.message
    };
    assert!(message("[server]\n\nlissten = 1\n").contains("line 3: unknown field `lissten`"));
    assert!(message("[sever]\n").contains("line 1: unknown field `sever`"));
    assert!(message("[server]\nv1_budget = \"many\"\n").contains("`many` is no size"));
    assert!(message("[server]\nv1_budget = -1\n").contains("cannot be negative"));
    for (value, told) in [("0", "integer `0`"), ("-1", "integer `-1`"), ("\"x\"", "string")] {
        let message = message(&format!("[server]\n max_sessions = {value}\n"));
        assert!(message.contains("line 2: `max_sessions`: invalid "), "{message}");
        assert!(message.contains(told) && message.contains("at least 1"), "{message}");
    }
    assert!(message("what\n").contains("line 1"));
    for host in ["https://photos.example", "photos.example:", "photos.example:0", "a b", ""] {
        assert!(message(&format!("[server]\npublic_host = \"{host}\"\n")).contains("is no name"));
    }
    for host in ["photos.example", "photos.example:443", "192.0.2.7", "2001:db8::7", "[::1]:443"] {
        assert!(File::parse(&format!("[server]\npublic_host = \"{host}\"\n")).is_ok(), "{host}");
    }
    let flags = Flags { config: Some("/nonexistent/c.toml".into()), ..Flags::default() };
    let refusal = resolve(&flags, &[], &none, "").unwrap_err();
    assert!(refusal.message.contains("`/nonexistent/c.toml`"), "{}", refusal.message);
    let vars = [("IMGREPO_CONFIG", "/nonexistent/e.toml")];
    assert!(resolve(&Flags::default(), &vars, &none, "").is_err());
}

#[test]
fn sizes_have_units() {
    let size = |text: &str| {
        let file = format!("[server]\nv1_budget = \"{text}\"\n");
        File::parse(&file).ok().and_then(|file| file.server.v1_budget).map(|size| size.0)
    };
    assert_eq!(size("64 MiB"), Some(64 << 20));
    assert_eq!(size("64MiB"), Some(64 << 20));
    assert_eq!(size("2 GB"), Some(2_000_000_000));
    assert_eq!(size("12"), Some(12));
    for bad in ["", "MiB", "1.5 GiB", "-1", "99999999 TiB", "1 mib"] {
        assert_eq!(size(bad), None, "{bad}");
    }
}

#[test]
fn how_folders_are_watched() {
    let nothing = Remembered::default();
    let watch = |flags: &Flags, file: &str| Ok(resolve(flags, &[], &nothing, file)?.watch);
    let default = watch(&Flags::default(), "").unwrap();
    assert_eq!(default.settle, Duration::from_secs(2));
    assert_eq!(default.torn, Duration::from_secs(600));
    assert_eq!(default.rescan, Duration::from_secs(900));
    assert_eq!((default.poll, default.folders.len()), (Duration::from_secs(5), 0));
    let flags = Flags { watch: vec!["/a".into(), "b".into()], ..Flags::default() };
    let file =
        "[watch]\nsettle_seconds = 0\ntorn_minutes = 1\nrescan_minutes = 1\npoll_seconds = 3\n";
    let told = watch(&flags, file).unwrap();
    assert_eq!((told.settle, told.rescan), (Duration::ZERO, Duration::from_secs(60)));
    assert_eq!(told.torn, Duration::from_secs(60));
    let here = std::env::current_dir().unwrap();
    assert_eq!(told.folders, [PathBuf::from("/a"), here.join("b")]);
    let again = [OsString::from("--watch"), "/a".into(), "--watch".into(), here.join("b").into()];
    assert_eq!(flags.arguments(), again, "as it is started at login");
    let flags = Flags { log_format: Some(LogFormat::Json), ..Flags::default() };
    assert_eq!(flags.arguments(), [OsString::from("--log-format=json")]);
    let refused: Result<WatchConfig, Refusal> = watch(&flags, "[watch]\npoll_seconds = 0\n");
    assert!(refused.unwrap_err().message.contains("line 2"));
}
