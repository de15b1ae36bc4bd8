//! Entries as the old server wrote them, and as nobody should have.

use proptest::prelude::*;

use super::*;

fn read_all(json: &str) -> Vec<Result<Entry, Damaged>> {
    read(json.as_bytes(), &TimeZone::UTC).unwrap()
}

/// What is said of an entry that has this beside what every entry needs.
fn fault(member: &str, value: &str) -> String {
    let members = [
        ("id", "3"),
        ("filename", "\"a.jpg\""),
        ("uploader", "\"ana\""),
        ("path", "\"imagens/3_a.jpg\""),
        ("timestamp", "\"2024-05-01T12:34:56\""),
    ];
    let members = members
        .map(|(name, given)| format!("\"{name}\":{}", if name == member { value } else { given }));
    let json = format!("[{{{}}}]", members.join(","));
    match read_all(&json).remove(0) {
        Ok(_) => String::new(),
        Err(damaged) => damaged.error.message,
    }
}

#[test]
fn a_frozen_file_of_the_old_server_reads_for_ever() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/classic/metadata.json");
    let entries = read(std::fs::File::open(file).unwrap(), &TimeZone::UTC).unwrap();
    let entries: Vec<Entry> = entries.into_iter().map(Result::unwrap).collect();
    let told: Vec<_> = entries
        .iter()
        .map(|entry| (entry.number, entry.name.as_str(), entry.uploader.as_str(), &*entry.file))
        .collect();
    assert_eq!(
        told,
        [
            (1, "plain.gif", "ana", "1_plain.gif"),
            (2, "férias.png", "joão", "2_férias.png"),
            (3, "plain.gif", "ana", "3_plain.gif"),
        ]
    );
    assert_eq!(entries[1].timestamp, "\"01/05/2024 12:34:56\"");
    assert!(entries.iter().all(|entry| entry.uploaded_at.is_some()));
}

#[test]
fn a_damaged_entry_says_what_is_wrong_and_harms_no_other() {
    assert_eq!(fault("", ""), "");
    for (member, value, said) in [
        ("id", "null", "it has no `id`"),
        ("id", "\"3\"", "its `id` is no number"),
        ("id", "-1", "its `id` is no number"),
        ("id", "3.5", "its `id` is no number"),
        ("id", "9223372036854775808", "its `id` is no number"),
        ("filename", "7", "its `filename` is no text"),
        ("filename", "\"\\ud800\"", "its `filename` is no text"),
        ("filename", "\"\"", "its `filename` cannot be one: a name must not be empty"),
        ("filename", "\"../a.jpg\"", "its `filename` cannot be one: a name must not contain '/'"),
        ("uploader", "\"\\n\"", "its `uploader` cannot be one"),
        ("path", "[]", "its `path` is no text"),
        ("path", "\"/etc/passwd\"", "its `path`, `/etc/passwd`, is no file of `imagens`"),
        ("timestamp", "true", "its `timestamp` is no time"),
        ("timestamp", "{}", "its `timestamp` is no time"),
        ("timestamp", "null", "it has no `timestamp`"),
    ] {
        let fault = fault(member, value);
        assert!(fault.contains(said), "{member}: {value}: {fault}");
    }
    let good = r#"{"id":1,"filename":"a","uploader":"b","path":"imagens/1_a","timestamp":1}"#;
    let list = r#"[1, "a", "b", "imagens/1_a", 1]"#;
    let entries = read_all(&format!("[7, {good}, {{\"id\":1,\"id\":2}}, {list}, {good}]"));
    let sound: Vec<bool> = entries.iter().map(Result::is_ok).collect();
    assert_eq!(sound, [false, true, false, false, true]);
}

#[test]
fn what_is_no_list_is_refused_whole() {
    for json in ["", "{}", "[", "[{}", "[] []", "null", "\"a\"", "[{},]"] {
        assert!(read(json.as_bytes(), &TimeZone::UTC).is_err(), "{json}");
    }
    assert!(read_all("\u{feff}[]").is_empty());
    assert!(read_all(" [ ] \n").is_empty());
}

#[test]
fn a_path_names_one_file_of_the_images_or_nothing() {
    for (path, file) in [
        ("imagens/1_a.jpg", "1_a.jpg"),
        ("imagens\\1_a.jpg", "1_a.jpg"),
        (".\\imagens/1_a.jpg", "1_a.jpg"),
        ("/srv/old/imagens/1_a.jpg", "1_a.jpg"),
        ("C:\\old\\imagens\\1_a.jpg", "1_a.jpg"),
    ] {
        assert_eq!(file_of(path), Some(file), "{path}");
    }
    for path in [
        "",
        "imagens",
        "imagens/",
        "imagens/.",
        "imagens/..",
        "imagens\\..",
        "1_a.jpg",
        "/etc/passwd",
        "imagens/../secret",
        "imagens/sub/1_a.jpg",
        "../imagens/1_a.jpg",
        "imagens/a\0b",
    ] {
        assert_eq!(file_of(path), None, "{path}");
    }
}

#[test]
fn a_line_is_in_ascii_and_reads_back() {
    let line = Line {
        id: 2,
        filename: "férias 😀.png",
        uploader: "joão",
        path: "imagens/2_férias 😀.png",
        thumb_path: None,
        timestamp: RawValue::from_string("\"01/05/2024 12:34:56\"".to_owned()).unwrap(),
    };
    let json = line.encode().unwrap();
    assert_eq!(
        json,
        "{\"id\":2,\"filename\":\"f\\u00e9rias \\ud83d\\ude00.png\",\"uploader\":\"jo\\u00e3o\",\
         \"path\":\"imagens/2_f\\u00e9rias \\ud83d\\ude00.png\",\"thumb_path\":null,\
         \"timestamp\":\"01/05/2024 12:34:56\"}"
    );
    let entry = read_all(&format!("[{json}]")).remove(0).unwrap();
    assert_eq!(entry.name.as_str(), line.filename);
    assert_eq!(entry.timestamp, line.timestamp.get());
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = read(&*bytes, &TimeZone::UTC);
    }

    #[test]
    fn any_entry_is_read_or_refused(
        members in prop::collection::vec(
            ("id|filename|uploader|path|timestamp|x", "[0-9]{1,3}|\"[a-z/.\\\\]*\"|null|\\[\\]"),
            0..6,
        )
    ) {
        let members: Vec<_> =
            members.iter().map(|(name, value)| format!("\"{name}\":{value}")).collect();
        let _ = read(format!("[{{{}}}]", members.join(",")).as_bytes(), &TimeZone::UTC);
    }
}

#[test]
fn a_list_of_nothing_does_not_fill_the_memory() {
    let list = format!("[0{}]", ",0".repeat(MAX_ENTRIES));
    let error = read(list.as_bytes(), &TimeZone::UTC).unwrap_err();
    assert!(error.to_string().contains("more than"), "{error}");
}
