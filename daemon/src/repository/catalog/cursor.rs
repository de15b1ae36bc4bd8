//! Where a page ended, as a text that clients hand back and never read: `1.<query>.<id>`.
//!
//! Made and read by the catalogs. It carries a fingerprint of its query, so that a cursor of another
//! filter or order is refused instead of skipping records without a word.

use imgrepo_proto::{ErrorCode, ImageId, Refusal};

use super::PageQuery;

/// The form of the text. A later form gets another number, and this one is refused then.
const VERSION: &str = "1";

/// What tells one query from another, whatever its limit and cursor are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fingerprint(String);

impl Fingerprint {
    pub(crate) fn of(query: &PageQuery) -> Fingerprint {
        // JSON of our own plain type: it cannot fail, and if it did, two queries would be taken for
        // one, which only a client that mixes its cursors up would notice.
        let filter = serde_json::to_string(&query.filter).unwrap_or_default();
        let person = query.person.map(|person| person.0);
        let text = format!("{filter} {:?} {person:?}", query.sort);
        Fingerprint(blake3::hash(text.as_bytes()).to_hex()[..16].to_owned())
    }
}

/// The text of a cursor behind this image.
pub(crate) fn write(query: &Fingerprint, last: ImageId) -> String {
    format!("{VERSION}.{}.{last}", query.0)
}

/// The image that the page before ended with.
///
/// # Errors
/// `bad_request` where the text is no cursor, or that of another query.
pub(crate) fn read(query: &Fingerprint, text: &str) -> Result<ImageId, Refusal> {
    let refused = |why: &str| {
        Refusal::new(ErrorCode::BadRequest, format!("cannot go on from that cursor: {why}"))
            .hint("begin again without a cursor")
    };
    let mut parts = text.split('.');
    let (Some(VERSION), Some(of), Some(id), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(refused("it is none of this server's"));
    };
    let id = id.parse().map_err(|_| refused("it is none of this server's"))?;
    match of == query.0 {
        true => Ok(ImageId(id)),
        false => Err(refused("it belongs to another filter or order")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use imgrepo_proto::session::command::{Filter, Sort};
    use proptest::prelude::*;

    #[test]
    fn a_cursor_fits_its_own_query_alone() {
        let query = PageQuery::default();
        let own = Fingerprint::of(&query);
        let text = write(&own, ImageId(7));
        assert_eq!(read(&own, &text), Ok(ImageId(7)));
        let longer = PageQuery { limit: 9, cursor: Some(text.clone()), ..query.clone() };
        assert_eq!(read(&Fingerprint::of(&longer), &text), Ok(ImageId(7)));
        let filter = Filter { text: Some("a".to_owned()), ..Filter::default() };
        for other in [
            PageQuery { sort: Sort::Oldest, ..query.clone() },
            PageQuery { filter, ..query.clone() },
            PageQuery { person: Some(super::super::PersonId(1)), ..query },
        ] {
            assert_eq!(
                read(&Fingerprint::of(&other), &text).unwrap_err().code,
                ErrorCode::BadRequest
            );
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in any::<String>()) {
            let _ = read(&Fingerprint::of(&PageQuery::default()), &text);
        }
    }
}
