//! What an old server's list says in our words: records, names, pages. Pure.
//!
//! An image's number is its place in the list, from 1; what v1 does not tell is null. An old server
//! finds by name alone, and then the oldest: so do we there.

use imgrepo_proto::session::command::{Filter, List, Sort, State, Target};
use imgrepo_proto::session::reply::ListReply;
use imgrepo_proto::session::v1::Entry;
use imgrepo_proto::{ErrorCode, ImageId, ImageRecord, Refusal};

/// The record of the entry at this place, from 0.
pub(crate) fn record(at: usize, entry: &Entry) -> ImageRecord {
    ImageRecord::bare(ImageId(at as u64 + 1), entry.filename.clone(), entry.uploader.clone())
}

/// The image that is meant.
pub(crate) fn find(entries: &[Entry], target: &Target) -> Result<ImageRecord, Refusal> {
    let not_found = |what: String| Refusal::new(ErrorCode::NotFound, what);
    if let Some(id) = target.image {
        let at = id.0.checked_sub(1).and_then(|at| usize::try_from(at).ok());
        return at
            .and_then(|at| Some(record(at, entries.get(at)?)))
            .ok_or_else(|| not_found(format!("there is no image {id}")));
    }
    let Some(name) = &target.name else {
        return Err(Refusal::new(ErrorCode::BadRequest, "no image was named"));
    };
    let at = entries.iter().position(|entry| entry.filename == name.as_str());
    at.and_then(|at| Some(record(at, entries.get(at)?))).ok_or_else(|| {
        not_found(format!("no image is named `{}`", imgrepo_proto::name::shown(name.as_str())))
    })
}

/// Whether the old server would serve this image when asked by its name.
pub(crate) fn is_served(entries: &[Entry], image: &ImageRecord) -> bool {
    let first = entries.iter().position(|entry| entry.filename == image.name);
    first.is_some_and(|at| at as u64 + 1 == image.id.0)
}

/// A page of an old server's list.
pub(crate) fn page(entries: &[Entry], list: &List) -> Result<ListReply, Refusal> {
    let keep = keep(&list.filter)?;
    // Places alone, and records of this page's only: a list has no bound but its message's.
    let kept = entries.iter().enumerate().filter(|(_, entry)| keep(entry));
    let mut places: Vec<usize> = kept.map(|(at, _)| at).collect();
    let total = places.len() as u64;
    if list.sort == Sort::Newest {
        places.reverse();
    }
    if let Some(cursor) = &list.cursor {
        let last: u64 = cursor.parse().map_err(|_| {
            Refusal::new(ErrorCode::BadRequest, "the cursor is not one of this list")
        })?;
        // An image's number is its place and one.
        places.retain(|at| match list.sort {
            Sort::Newest => (*at as u64) + 1 < last,
            Sort::Oldest => (*at as u64) + 1 > last,
        });
    }
    let limit = list.page_size() as usize;
    let more = places.len() > limit;
    let page = places.iter().take(limit).filter_map(|at| Some(record(*at, entries.get(*at)?)));
    let images: Vec<ImageRecord> = page.collect();
    let next = images.last().filter(|_| more).map(|image| image.id.to_string());
    Ok(ListReply { images, next, total: Some(total) })
}

/// The filter as a question to an entry; what an old server does not tell cannot be asked.
fn keep(filter: &Filter) -> Result<impl Fn(&Entry) -> bool + '_, Refusal> {
    let untold = |what: &str| {
        let message = format!("cannot list by {what}: the old server does not tell it");
        Err(Refusal::new(ErrorCode::Unsupported, message))
    };
    if filter.uploaded_from.is_some() || filter.uploaded_before.is_some() {
        return untold("date");
    }
    if filter.media_type.is_some() {
        return untold("media type");
    }
    if filter.state == State::Trashed {
        let message = "the old server has no trash";
        return Err(Refusal::new(ErrorCode::Unsupported, message));
    }
    let glob = filter.name.as_ref().map(|glob| folded(glob));
    let text = filter.text.as_ref().map(|text| text.to_lowercase());
    Ok(move |entry: &Entry| {
        let name = &entry.filename;
        filter.exact_name.as_ref().is_none_or(|exact| exact == name)
            && filter.uploader.as_ref().is_none_or(|uploader| *uploader == entry.uploader)
            && text.as_ref().is_none_or(|text| name.to_lowercase().contains(text))
            && glob.as_ref().is_none_or(|glob| fits(glob, &folded(name)))
    })
}

fn folded(text: &str) -> Vec<char> {
    text.to_lowercase().chars().collect()
}

/// Whether a whole name fits a glob: `*`, `?`, `[a-z]`, `[!a-z]`. Linear in the name for each star.
fn fits(glob: &[char], name: &[char]) -> bool {
    let (mut g, mut n) = (0, 0);
    // Where the last star stands, and what it has swallowed up to.
    let mut star: Option<(usize, usize)> = None;
    while n < name.len() {
        let step = match glob.get(g) {
            Some('*') => {
                star = Some((g, n));
                g += 1;
                continue;
            }
            Some('?') => Some(g + 1),
            Some('[') => match class(&glob[g..], name[n]) {
                Some((fits, len)) => fits.then_some(g + len),
                None => (name[n] == '[').then_some(g + 1),
            },
            Some(c) => (*c == name[n]).then_some(g + 1),
            None => None,
        };
        match (step, star) {
            (Some(next), _) => {
                g = next;
                n += 1;
            }
            (None, Some((at, swallowed))) => {
                star = Some((at, swallowed + 1));
                g = at + 1;
                n = swallowed + 1;
            }
            (None, None) => return false,
        }
    }
    glob[g..].iter().all(|c| *c == '*')
}

/// A class at the beginning of a glob: whether the character is in it, and the class's length.
fn class(glob: &[char], c: char) -> Option<(bool, usize)> {
    let negated = matches!(glob.get(1), Some('!' | '^'));
    let start = if negated { 2 } else { 1 };
    // A `]` right at the beginning is a member.
    let end = start + 1 + glob.get(start + 1..)?.iter().position(|c| *c == ']')?;
    let members = &glob[start..end];
    let mut found = false;
    let mut at = 0;
    while at < members.len() {
        match members.get(at + 1..at + 3) {
            Some(['-', last]) => {
                found |= (members[at]..=*last).contains(&c);
                at += 3;
            }
            _ => {
                found |= members[at] == c;
                at += 1;
            }
        }
    }
    Some((found != negated, end + 1))
}

#[cfg(test)]
mod tests {
    use imgrepo_proto::ImageName;

    use super::*;

    fn entries() -> Vec<Entry> {
        [("a.jpg", "ana"), ("B.jpg", "bia"), ("a.jpg", "bia"), ("c.png", "ana")]
            .map(|(name, by)| Entry { filename: name.to_owned(), uploader: by.to_owned() })
            .to_vec()
    }

    #[test]
    fn a_glob_is_over_the_whole_name_without_regard_to_case() {
        let fits = |glob: &str, name: &str| super::fits(&folded(glob), &folded(name));
        assert!(fits("*.JPG", "b.jpg") && fits("", "") && fits("***", "x") && fits("a?c", "aéc"));
        assert!(fits("[a-c]x", "Bx") && !fits("[!a-c]x", "bx") && fits("[]]", "]"));
        assert!(fits("[x", "[x") && fits("*a*b", "xaxab") && !fits("a", "ab") && !fits("*b", "ba"));
    }

    #[test]
    fn a_list_is_paged_from_either_end() {
        let entries = entries();
        let ids = |list: &List| {
            let page = page(&entries, list).unwrap();
            (page.images.iter().map(|image| image.id.0).collect::<Vec<_>>(), page.next)
        };
        let mut list = List { limit: Some(3), ..List::default() };
        assert_eq!(ids(&list), (vec![4, 3, 2], Some("2".to_owned())));
        list.cursor = Some("2".to_owned());
        assert_eq!(ids(&list), (vec![1], None));
        list.sort = Sort::Oldest;
        assert_eq!(ids(&list), (vec![3, 4], None));
        list = List::default();
        list.filter.name = Some("?.jpg".to_owned());
        list.filter.uploader = Some("bia".to_owned());
        assert_eq!(ids(&list), (vec![3, 2], None));
        list.filter.media_type = Some("image/png".to_owned());
        assert_eq!(page(&entries, &list).unwrap_err().code, ErrorCode::Unsupported);
        list = List { cursor: Some("x".to_owned()), ..List::default() };
        assert_eq!(page(&entries, &list).unwrap_err().code, ErrorCode::BadRequest);
    }

    #[test]
    fn a_name_is_the_oldest_image_of_it() {
        let entries = entries();
        let by_name = Target::name(ImageName::parse("a.jpg").unwrap());
        let oldest = find(&entries, &by_name).unwrap();
        assert_eq!(oldest.id, ImageId(1));
        assert!(is_served(&entries, &oldest));
        let newer = find(&entries, &Target::id(ImageId(3))).unwrap();
        assert!(!is_served(&entries, &newer));
        for id in [0, 5, u64::MAX] {
            let error = find(&entries, &Target::id(ImageId(id))).unwrap_err();
            assert_eq!(error.code, ErrorCode::NotFound);
        }
    }
}
