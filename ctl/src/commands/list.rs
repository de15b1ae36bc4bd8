//! `imgctl list [PATTERN]`: the images of the repository, the newest first.

use imgrepo_proto::session::command::Filter;

use crate::cli;
use crate::context::Context;
use crate::failure::Failure;
use crate::images;

/// Lists.
pub(crate) fn run(context: &Context, args: cli::List) -> Result<(), Failure> {
    let mut again = "list".to_owned();
    if let Some(pattern) = &args.pattern {
        again += &format!(" {}", quoted(pattern));
    }
    if let Some(user) = &args.user {
        again += &format!(" --user {}", quoted(user));
    }
    if args.page.long {
        again += " --long";
    }
    let filter = Filter { name: args.pattern, uploader: args.user, ..Filter::default() };
    images::show(context, filter, &args.page, &again)
}

/// A word as a shell takes it.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "._-@%+:,/".contains(c);
    match !word.is_empty() && word.chars().all(plain) {
        true => word.to_owned(),
        false => imgrepo_proto::name::shown(&format!("'{}'", word.replace('\'', r"'\''"))),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_word_is_quoted_where_a_shell_would_change_it() {
        assert_eq!(super::quoted("ana"), "ana");
        assert_eq!(super::quoted("*.jpg"), "'*.jpg'");
        assert_eq!(super::quoted("it's"), r"'it'\''s'");
        assert_eq!(super::quoted(""), "''");
    }
}
