//! How the log is written. `main` asks before anything else, as the log begins before all other
//! settings are put together; what it shows is `log_filter`'s.

use std::ffi::OsString;
use std::fmt;
use std::path::Path;
use std::str::FromStr;

use imgrepo_proto::{ErrorCode, Refusal};
use serde::Deserialize;

use super::{Flags, read, text};

/// The form of the log's lines.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// For programs: one JSON object a line.
    Json,
}

impl fmt::Display for LogFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            LogFormat::Text => "text",
            LogFormat::Json => "json",
        })
    }
}

impl FromStr for LogFormat {
    type Err = String;

    fn from_str(text: &str) -> Result<LogFormat, String> {
        let known = [LogFormat::Text, LogFormat::Json];
        let found = known.into_iter().find(|format| format.to_string() == text);
        found.ok_or_else(|| "the log is written as text or json".to_owned())
    }
}

/// The form of the log's lines: by the flag, by `IMGREPO_LOG_FORMAT`, by the configuration file
/// (`default_file` unless another is named), text.
///
/// # Errors
/// `usage` for what the variable says, `file_error` for what the file does.
pub fn log_format(
    flags: &Flags,
    var: impl Fn(&str) -> Option<OsString>,
    default_file: &Path,
) -> Result<LogFormat, Refusal> {
    if let Some(format) = flags.log_format {
        return Ok(format);
    }
    if let Some(told) = text(&var, "IMGREPO_LOG_FORMAT") {
        return told.parse().map_err(|why| {
            let shown = imgrepo_proto::name::shown(&told);
            let message = format!("cannot use IMGREPO_LOG_FORMAT=`{shown}`: {why}");
            Refusal::new(ErrorCode::Usage, message)
        });
    }
    let (_, file) = read(flags, &var, default_file)?;
    Ok(file.log.format.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flag_variable_file_default_in_this_order() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("config.toml");
        let of = |flag: Option<LogFormat>, told: &str| {
            let flags = Flags { log_format: flag, ..Flags::default() };
            let var = |name: &str| (name == "IMGREPO_LOG_FORMAT").then(|| told.into());
            log_format(&flags, var, &path)
        };
        assert_eq!(of(None, ""), Ok(LogFormat::Text));
        std::fs::write(&path, "[log]\nformat = \"json\"\n").unwrap();
        assert_eq!(of(None, ""), Ok(LogFormat::Json));
        assert_eq!(of(None, "text"), Ok(LogFormat::Text));
        assert_eq!(of(Some(LogFormat::Json), "text"), Ok(LogFormat::Json));
        let refusal = of(None, "xml").unwrap_err();
        assert_eq!(refusal.code, ErrorCode::Usage);
        assert!(refusal.message.contains("IMGREPO_LOG_FORMAT=`xml`"), "{refusal}");
        std::fs::write(&path, "[log]\nformat = \"xml\"\n").unwrap();
        let refusal = of(None, "").unwrap_err();
        assert_eq!(refusal.code, ErrorCode::FileError);
        assert!(refusal.message.contains("line 2: `format`: unknown variant `xml`"), "{refusal}");
    }
}
