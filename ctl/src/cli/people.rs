//! The words for people: invitations, accounts, devices.

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, Subcommand};
use imgrepo_proto::limits::{MAX_INVITATION_SECONDS, MAX_INVITATION_USES};
use imgrepo_proto::session::people::AccountRole;

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Invite {
    #[command(subcommand)]
    pub(crate) given: Option<Invitations>,
    #[command(flatten)]
    pub(crate) new: NewInvitation,
}

#[derive(Debug, Args)]
pub(crate) struct NewInvitation {
    /// What they may do: look; upload and change their own; everything
    #[arg(long, value_name = "ROLE", default_value = "member", value_parser = role())]
    pub(crate) role: AccountRole,
    /// How many people it lets in [default: 1]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=i64::from(MAX_INVITATION_USES)))]
    pub(crate) uses: Option<u32>,
    /// The images of this guest become theirs
    #[arg(long, value_name = "NAME", conflicts_with = "uses")]
    pub(crate) guest: Option<String>,
    #[command(flatten)]
    pub(crate) parcel: Parcel,
}

/// How a link is handed over.
#[derive(Debug, Args)]
pub(crate) struct Parcel {
    /// For how long it lets in: 30m, 12h, 7d, 2w [default: 7d]
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub(crate) expires: Option<u64>,
    /// Draw no QR code
    #[arg(long)]
    pub(crate) no_qr: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Invitations {
    /// List the invitations that let in, and those that ended lately
    Ls,
    /// Take one back: it lets in nobody any more
    Revoke {
        /// Its number, as `invite ls` shows it
        id: u64,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Join {
    /// The invitation, `imgrepo://...`; asked for when missing
    pub(crate) link: Option<String>,
    /// Your name there; your login name when missing
    #[arg(long, value_name = "NAME")]
    pub(crate) user: Option<String>,
    /// What to call this device; the computer's name when missing
    #[arg(long, value_name = "NAME")]
    pub(crate) device: Option<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum People {
    /// List the people
    Ls,
    /// Change what somebody may do
    Role {
        /// Whose account
        person: String,
        /// What they may do: look; upload and change their own; everything
        #[arg(value_parser = role())]
        role: AccountRole,
    },
    /// Let somebody in no more; their images stay
    Disable {
        /// Whose account
        person: String,
    },
    /// Let them in again
    Enable {
        /// Whose account
        person: String,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Devices {
    /// List the devices
    Ls {
        /// Of this person, instead of your own
        #[arg(long, value_name = "U")]
        user: Option<String>,
    },
    /// Let one in no more: it is cut off at once
    Revoke {
        /// Its number, as `devices ls` shows it
        id: u64,
    },
    /// Print a link that lets in one more device of your own
    Add {
        /// Of this person, who lost theirs: for admins
        #[arg(long, value_name = "U")]
        user: Option<String>,
        #[command(flatten)]
        parcel: Parcel,
    },
}

#[derive(Debug, Args)]
pub(crate) struct LoginLink {
    /// Draw no QR code
    #[arg(long)]
    pub(crate) no_qr: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Audit {
    /// At most this many (on a terminal 50, unless told otherwise)
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..), conflicts_with = "all")]
    pub(crate) limit: Option<u64>,
    /// All of it, on a terminal too
    #[arg(long)]
    pub(crate) all: bool,
}

fn role() -> impl TypedValueParser<Value = AccountRole> {
    PossibleValuesParser::new(AccountRole::ALL.map(AccountRole::word))
        .try_map(|word| AccountRole::of(&word).ok_or("it is no role"))
}

/// A text that quotes the command line, without what stands behind the `#` of a link: a wrong word
/// beside an invitation must not show it to whoever reads the log of a script.
pub(super) fn without_secrets(text: &str) -> String {
    let is_end = |c: char| c.is_whitespace() || matches!(c, '\'' | '"' | '`');
    let mut kept = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(scheme) = rest.find("://") {
        let end = rest[scheme..].find(is_end).map_or(rest.len(), |length| scheme + length);
        match rest[scheme..end].find('#') {
            Some(sharp) => kept += &format!("{}…", &rest[..=scheme + sharp]),
            None => kept += &rest[..end],
        }
        rest = &rest[end..];
    }
    kept + rest
}

/// `30m`, `12h`, `7d` or `2w`, in seconds.
fn duration(text: &str) -> Result<u64, String> {
    let units = [('m', 60), ('h', 60 * 60), ('d', 24 * 60 * 60), ('w', 7 * 24 * 60 * 60)];
    let unit = |last: char| units.into_iter().find(|(unit, _)| *unit == last);
    let seconds = text.char_indices().next_back().and_then(|(at, last)| {
        let digits = &text[..at];
        // `parse` takes a sign as well.
        let number = digits.bytes().all(|byte| byte.is_ascii_digit()).then_some(digits)?;
        number.parse::<u64>().ok()?.checked_mul(unit(last)?.1)
    });
    match seconds {
        Some(0) => Err("it must be more than nothing".to_owned()),
        Some(seconds) if seconds <= MAX_INVITATION_SECONDS => Ok(seconds),
        Some(_) => Err(format!("it is {} days at most", MAX_INVITATION_SECONDS / (24 * 60 * 60))),
        None => Err("say it as 30m, 12h, 7d or 2w".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_is_quoted_without_what_lets_in() {
        let cases = [
            (
                "unexpected argument 'imgrepo://h:1/#s3cret,pin' found",
                "unexpected argument 'imgrepo://h:1/#…' found",
            ),
            ("https://a/#x https://b/#y\n", "https://a/#… https://b/#…\n"),
            ("a#b ws://h:1/ c#d é://é#", "a#b ws://h:1/ c#d é://é#…"),
            ("nothing", "nothing"),
        ];
        for (text, kept) in cases {
            assert_eq!(without_secrets(text), kept);
        }
    }

    #[test]
    fn a_time_is_a_number_and_its_unit() {
        let cases = [("30m", 1800), ("12h", 43_200), ("7d", 604_800), ("2w", 1_209_600)];
        for (text, seconds) in cases {
            assert_eq!(duration(text), Ok(seconds), "{text}");
        }
        assert_eq!(duration("366d"), Ok(MAX_INVITATION_SECONDS));
        let huge = format!("{}w", u64::MAX);
        for bad in ["", "d", "7", "0m", "367d", "+7d", "-7d", "1.5h", "7 d", "7D", "7é", &huge] {
            assert!(duration(bad).is_err(), "{bad}");
        }
    }
}
