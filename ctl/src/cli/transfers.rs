//! The words for what goes on by itself: queue, watched folders, limits.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

#[derive(Debug, Default, Args)]
pub(crate) struct Status {
    /// Go on showing it, with all transfers
    #[arg(short, long)]
    pub(crate) follow: bool,
    /// What a server takes at most too, and where others reach it
    #[arg(short, long)]
    pub(crate) long: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Queue {
    /// List the uploads that are not done, the oldest first
    Ls(QueueLs),
    /// Try again what failed or was refused
    Retry(Which),
    /// Give up what is not done
    Cancel(Which),
    /// Send nothing more until it is resumed
    Pause,
    /// Go on
    Resume,
}

#[derive(Debug, Args)]
pub(crate) struct QueueLs {
    /// Those that are done or ignored too
    #[arg(long)]
    pub(crate) all: bool,
    /// At most this many (on a terminal 50, unless told otherwise)
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) limit: Option<u64>,
    /// Go on after this one
    #[arg(long, value_name = "ID")]
    pub(crate) after: Option<u64>,
}

/// Which uploads of the queue.
#[derive(Debug, Args)]
pub(crate) struct Which {
    /// Their numbers, as `queue ls` shows them
    #[arg(value_name = "ID", required_unless_present = "all", conflicts_with = "all")]
    pub(crate) ids: Vec<u64>,
    /// All to which it applies
    #[arg(long)]
    pub(crate) all: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Watch {
    /// Watch a folder and all below it
    Add(WatchAdd),
    /// Watch a folder no longer; files and images stay
    Rm {
        /// Which folder
        dir: PathBuf,
    },
    /// List the watched folders
    Ls,
    /// Look no longer for new files
    Pause {
        /// Only in this folder
        dir: Option<PathBuf>,
    },
    /// Go on
    Resume {
        /// Only in this folder
        dir: Option<PathBuf>,
    },
    /// Look at every file again
    Rescan {
        /// Only in this folder
        dir: Option<PathBuf>,
    },
    /// Tell a file's whole story
    Status {
        /// Which file
        file: PathBuf,
    },
}

#[derive(Debug, Args)]
pub(crate) struct WatchAdd {
    /// Which folder
    pub(crate) dir: PathBuf,
    /// What becomes of a file once it is safely stored
    #[arg(long, value_name = "WHAT", default_value = "keep")]
    pub(crate) after: After,
    /// Where `--after move` moves it
    #[arg(long, value_name = "DIR", required_if_eq("after", "move"))]
    pub(crate) to: Option<PathBuf>,
}

/// What becomes of a file after its upload. Its values have no words of their own: help is short.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum After {
    #[default]
    Keep,
    Trash,
    Move,
}

#[derive(Debug, Args)]
pub(crate) struct Verify {
    /// Files and folders
    #[arg(required = true, value_name = "PATH")]
    pub(crate) paths: Vec<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct Limit {
    /// Which way
    #[arg(requires = "rate")]
    pub(crate) way: Option<Way>,
    /// Bytes a second (500k, 2M), or `off`
    #[arg(value_parser = rate)]
    pub(crate) rate: Option<Rate>,
}

/// Which way transfers go. Its values have no words of their own: help is short.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Way {
    Up,
    Down,
}

/// Bytes a second; 0 is no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rate(pub(crate) u64);

/// `500k`, `2M`, `1.5M`, `100000` or `off`. The units are those in which sizes are shown: 1024.
fn rate(text: &str) -> Result<Rate, String> {
    if text == "off" {
        return Ok(Rate(0));
    }
    let units = [('k', 10), ('m', 20), ('g', 30)];
    let last = text.chars().next_back().map(|last| last.to_ascii_lowercase());
    let unit = units.iter().find(|(unit, _)| Some(*unit) == last);
    let number = if unit.is_some() { &text[..text.len() - 1] } else { text };
    let plain = !number.is_empty() && number.chars().all(|c| c.is_ascii_digit() || c == '.');
    let value: f64 = number.parse().ok().filter(|_| plain).ok_or("say it as 500k, 2M or off")?;
    let bytes = value * f64::from(1_u32 << unit.map_or(0, |(_, shift)| *shift));
    // Slower than this nothing arrives before somebody's time is over.
    match bytes {
        1024.0..=1e15 => Ok(Rate(bytes as u64)),
        _ => Err("it must be at least 1k; `off` takes the limit away".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_said_in_the_units_of_sizes() {
        let cases =
            [("off", 0), ("500k", 512_000), ("2M", 2 << 20), ("1.5m", 3 << 19), ("1024", 1024)];
        for (text, bytes) in cases {
            assert_eq!(rate(text), Ok(Rate(bytes)), "{text}");
        }
        for bad in ["", "k", "-1k", "0", "1", "1e9", "inf", "NaN", "1T", "5 k", "1kk", "é"] {
            assert!(rate(bad).is_err(), "{bad}");
        }
    }
}
