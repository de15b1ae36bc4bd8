//! The text of a systemd user unit, written and read. Pure.
//!
//! Quoting is systemd's (systemd.syntax, systemd.service), which is nearly a shell's: `%` begins a
//! specifier everywhere, `$` a variable in arguments alone.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use imgrepo_proto::{ErrorCode, Refusal};

use super::start::Start;

/// The beginning of every unit that we wrote, whatever the version.
const OURS: &str = "# Written by `imgrepod service install`";

const BEFORE: &str = ", which rewrites it too; `imgrepod service uninstall` removes it.
# What you want otherwise goes into a drop-in: systemctl --user edit imgrepod.service

[Unit]
Description=imgrepo: a group's images, shared

[Service]
Type=exec
";

// Failed starts are tried again for ever: every 5 s stays below systemd's limit of 5 in 10 s. Wrong
// usage (2) stays wrong. What it says on standard output it says on standard error too.
//
// Nothing here takes a part of the file system away: watched folders may be anywhere, and in a
// user's manager such settings need user namespaces, which not every system allows.
const AFTER: &str = "Restart=on-failure
RestartSec=5
RestartPreventExitStatus=2
KillMode=mixed
StandardOutput=null
NoNewPrivileges=yes
LockPersonality=yes
RestrictRealtime=yes
SystemCallArchitectures=native

[Install]
WantedBy=default.target
";

/// The unit that starts this.
///
/// # Errors
/// `usage` for what a unit cannot say.
pub(super) fn write(start: &Start) -> Result<String, Refusal> {
    let program = start.program.as_os_str();
    if program
        .as_encoded_bytes()
        .iter()
        .any(|byte| matches!(byte, 0..b' ' | b'"' | b'\'' | b'\\' | 127))
    {
        return Err(cannot(&start.program.display().to_string(), "as a program's path"));
    }
    // The path is no place for variables, so a `$` stands for itself.
    let mut command = word(program, "%");
    for argument in &start.arguments {
        command.push(' ');
        command.push_str(&word(argument, "%$"));
    }
    let mut unit = format!("{OURS}{BEFORE}ExecStart={command}\n");
    for (name, value) in &start.environment {
        if value.to_str().is_none_or(|value| value.contains(char::is_control)) {
            return Err(cannot(&format!("{name}={}", value.display()), "as a variable"));
        }
        let mut both = OsString::from(format!("{name}="));
        both.push(value);
        unit.push_str(&format!("Environment={}\n", word(&both, "%")));
    }
    unit.push_str(AFTER);
    Ok(unit)
}

fn cannot(what: &str, how: &str) -> Refusal {
    let shown = imgrepo_proto::name::shown(what);
    Refusal::new(ErrorCode::Usage, format!("systemd does not take `{shown}` {how}"))
        .hint("use a path of letters, digits and plain signs")
}

/// One word, quoted unless it is plain. Signs of `doubled` are doubled.
fn word(text: &OsStr, doubled: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/_.,:=@+-".contains(c);
    if let Some(text) = text.to_str()
        && !text.is_empty()
        && text.chars().all(plain)
    {
        return text.to_owned();
    }
    let mut quoted = String::from("\"");
    for chunk in text.as_encoded_bytes().utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '"' | '\\' => quoted.extend(['\\', c]),
                c if doubled.contains(c) => quoted.extend([c, c]),
                c if c.is_ascii_control() => quoted.push_str(&format!("\\x{:02x}", c as u32)),
                c => quoted.push(c),
            }
        }
        for byte in chunk.invalid() {
            quoted.push_str(&format!("\\x{byte:02x}"));
        }
    }
    quoted.push('"');
    quoted
}

/// What a unit that we wrote starts; None for any other text.
pub(super) fn read(unit: &str) -> Option<Start> {
    if !unit.starts_with(OURS) {
        return None;
    }
    let values = |key: &'static str| unit.lines().filter_map(move |line| line.strip_prefix(key));
    let mut command = words(values("ExecStart=").next()?)?.into_iter();
    let program = PathBuf::from(command.next()?);
    let environment = values("Environment=").map(|value| {
        let both = words(value)?.into_iter().next()?.into_string().ok()?;
        let (name, value) = both.split_once('=')?;
        Some((name.to_owned(), value.into()))
    });
    let environment = environment.collect::<Option<_>>()?;
    Some(Start { program, arguments: command.collect(), environment })
}

/// The words that [`word`] wrote. In the first one, a path or a variable, a `$` stands for itself.
fn words(line: &str) -> Option<Vec<OsString>> {
    let mut words = Vec::new();
    let mut now: Option<Vec<u8>> = None;
    let mut is_quoted = false;
    let mut signs = line.chars();
    while let Some(c) = signs.next() {
        if c == ' ' && !is_quoted {
            words.extend(now.take());
            continue;
        }
        let word = now.get_or_insert_default();
        match c {
            '"' => is_quoted = !is_quoted,
            '\\' => match signs.next()? {
                'x' => {
                    let digits: String = signs.by_ref().take(2).collect();
                    word.push(u8::from_str_radix(&digits, 16).ok()?);
                }
                c => word.extend(c.to_string().bytes()),
            },
            c => {
                if c == '%' || c == '$' && !words.is_empty() {
                    signs.next()?;
                }
                word.extend(c.to_string().bytes());
            }
        }
    }
    words.extend(now);
    words.into_iter().map(os_string).collect()
}

#[cfg(unix)]
fn os_string(bytes: Vec<u8>) -> Option<OsString> {
    Some(std::os::unix::ffi::OsStringExt::from_vec(bytes))
}

#[cfg(not(unix))]
fn os_string(bytes: Vec<u8>) -> Option<OsString> {
    String::from_utf8(bytes).ok().map(OsString::from)
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use std::os::unix::ffi::OsStringExt as _;

    use proptest::prelude::*;

    use super::*;

    fn start(program: &str, arguments: &[&str], environment: &[(&str, &str)]) -> Start {
        Start {
            program: program.into(),
            arguments: arguments.iter().map(OsString::from).collect(),
            environment: environment.iter().map(|(n, v)| ((*n).to_owned(), v.into())).collect(),
        }
    }

    fn lines(start: &Start) -> Vec<String> {
        let unit = write(start).unwrap();
        let ours = |line: &&str| line.starts_with("ExecStart") || line.starts_with("Environment");
        unit.lines().filter(ours).map(str::to_owned).collect()
    }

    #[test]
    fn every_sign_is_said_as_systemd_reads_it() {
        let plain = start("/usr/bin/imgrepod", &["--serve", "--listen=[::1]:0"], &[]);
        assert_eq!(lines(&plain), ["ExecStart=/usr/bin/imgrepod --serve \"--listen=[::1]:0\""]);
        let odd = start(
            "/opt/100% $me/imgrepod",
            &["", "--watch", "/a b/\"c\"\\", "100%", "$HOME;", ";", "Fotos é\n"],
            &[("IMGREPO_HOME", "/h m/50%/$x")],
        );
        assert_eq!(
            lines(&odd),
            [
                "ExecStart=\"/opt/100%% $me/imgrepod\" \"\" --watch \"/a b/\\\"c\\\"\\\\\" \
             \"100%%\" \"$$HOME;\" \";\" \"Fotos é\\x0a\"",
                "Environment=\"IMGREPO_HOME=/h m/50%%/$x\"",
            ]
        );
        assert_eq!(read(&write(&odd).unwrap()), Some(odd));
    }

    #[test]
    fn what_a_unit_cannot_say_is_refused() {
        for program in ["/a\"b/imgrepod", "/a'b", "/a\\b", "/a\nb"] {
            assert_eq!(write(&start(program, &[], &[])).unwrap_err().code, ErrorCode::Usage);
        }
        assert!(write(&start("/p", &[], &[("A", "b\nc")])).is_err());
        let mut bytes = start("/p", &[], &[]);
        bytes.environment.push(("A".to_owned(), OsString::from_vec(vec![0xff])));
        assert!(write(&bytes).is_err());
    }

    #[test]
    fn another_s_unit_is_not_read() {
        assert_eq!(read("[Service]\nExecStart=/usr/bin/imgrepod\n"), None);
        assert_eq!(read(""), None);
        assert_eq!(read(&format!("{OURS}\nExecStart=\"a\\")), None);
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again(
            program in "/[ -~é&&[^\"'\\\\]]{0,20}",
            arguments in prop::collection::vec(prop::collection::vec(1u8.., 0..12), 0..4),
            value in "[^\\p{Cc}]{0,12}",
        ) {
            let start = Start {
                program: program.into(),
                arguments: arguments.into_iter().map(OsString::from_vec).collect(),
                environment: vec![("IMGREPO_HOME".to_owned(), value.into())],
            };
            let unit = write(&start).unwrap();
            prop_assert_eq!(unit.lines().filter(|line| line.starts_with("ExecStart=")).count(), 1);
            prop_assert_eq!(read(&unit), Some(start));
        }

        #[test]
        fn any_text_is_read_or_not_but_never_a_fault(text in "\\PC{0,80}") {
            let _ = read(&format!("{OURS}\nExecStart={text}\nEnvironment={text}\n"));
        }
    }
}
