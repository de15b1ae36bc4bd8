//! The way along an index on which a page's images are looked for, in the page's order.
//!
//! Called by `read`. Every walk goes by keyset over an index that is named in the statement, so that no
//! statistics of SQLite ever turn it into a scan. A walk gives every image that the index leads to, also
//! those that do not fit: each is counted by who walks, so that a page of what is rare ends in time and
//! leaves a cursor, where SQLite would have gone on by itself to the catalog's end.

use imgrepo_proto::ImageId;
use imgrepo_proto::session::command::Sort;
use rusqlite::types::Value;

use super::rows::{first_from, integer, state_number};
use crate::repository::catalog::PersonId;
use crate::repository::catalog::page::{PagePlan, RECORD_STEPS};

/// Pieces of three characters that one search asks for. Each costs a list to walk: of a million names,
/// half of which have the one piece and half the other, two take 10 ms; ten took 50. So few, spread over
/// the texts, leave hardly a name to look at in vain.
const MAX_PIECES: usize = 6;

/// What an image costs whose record needs not be read: it is looked at in the index alone, 140 ns.
const INDEX_STEPS: u64 = 32;

/// Where a walk's row has the image's number.
pub(super) const ID: usize = 0;

/// Where it has its name, which is asked whether it fits; NULL where all else tells that the image does
/// not, and an empty text where names do not matter.
pub(super) const NAME: usize = 1;

/// The statement of a walk, without a limit: it is read until the page is full.
#[derive(Debug)]
pub(super) struct Walk {
    pub(super) sql: String,
    pub(super) values: Vec<Value>,
    /// What a row costs besides its name; see [`PagePlan::steps`].
    pub(super) row_steps: u64,
}

/// Along what a walk goes.
enum Along {
    /// Images with these pieces of names.
    Search(String),
    /// Images of one name.
    Name(String),
    /// Images of the page's person.
    Person,
    /// All.
    Page,
}

impl Walk {
    /// The walks for a page of this person's images, or of everybody's, of which there are `held`
    /// altogether: one after the other, in the page's order. A search knows images up to `searched`;
    /// those that came after it are walked by themselves.
    pub(super) fn all(
        plan: &PagePlan,
        person: Option<PersonId>,
        held: u64,
        searched: ImageId,
    ) -> Vec<Walk> {
        let along = along(plan, person, held);
        if !matches!(along, Along::Search(_)) {
            return vec![Walk::new(plan, person, along, ImageId(0))];
        }
        let newest = Walk::new(plan, person, each(person), searched);
        let older = Walk::new(plan, person, along, ImageId(0));
        match plan.sort {
            Sort::Newest => vec![newest, older],
            Sort::Oldest => vec![older, newest],
        }
    }

    /// A walk along this, of images after `after`.
    fn new(plan: &PagePlan, person: Option<PersonId>, along: Along, after: ImageId) -> Walk {
        let (from, key) = match &along {
            Along::Search(_) => (
                "name_search CROSS JOIN image ON image.id = name_search.rowid",
                "name_search.rowid",
            ),
            Along::Name(_) => ("image INDEXED BY image_name", "image.id"),
            Along::Person => ("image INDEXED BY image_person", "image.id"),
            Along::Page => ("image INDEXED BY image_page", "image.id"),
        };
        let mut asked = Conditions::default();
        if let Some(media_type) = &plan.media_type {
            asked.and("image.media_type = ?", media_type.clone());
        }
        if let Some(from) = plan.uploaded_from {
            asked.and("image.uploaded_at >= ?", first_from(from));
        }
        if let Some(before) = plan.uploaded_before {
            asked.and("image.uploaded_at < ?", first_from(before));
        }
        // Time and type stand in one index; all else is asked of the record.
        let is_in_index = match along {
            Along::Page => true,
            Along::Name(_) | Along::Person => asked.is_empty(),
            Along::Search(_) => false,
        };
        let mut led = Conditions::default();
        match along {
            Along::Search(ref pieces) => led.and("name_search MATCH ?", pieces.clone()),
            Along::Name(ref name) => led.and("image.name = ?", name.clone()),
            Along::Person | Along::Page => {}
        }
        let by_index = match along {
            Along::Search(_) => &mut asked,
            _ => &mut led,
        };
        // No place for a value: where a partial index asks for a state too, SQLite makes a statement
        // anew each time that one is given.
        by_index.push(&format!("image.state = {}", state_number(plan.state)));
        if let Some(person) = person {
            let by_index = match along {
                Along::Person => &mut led,
                _ => &mut asked,
            };
            by_index.and("image.person = ?", person.0);
        }
        let (order, beyond) = match plan.sort {
            Sort::Newest => ("DESC", "<"),
            Sort::Oldest => ("ASC", ">"),
        };
        let (behind, after) = match (plan.sort, plan.behind) {
            // One bound from below: of two SQLite would begin at either.
            (Sort::Oldest, behind) => (behind.max((after.0 > 0).then_some(after)), ImageId(0)),
            (Sort::Newest, behind) => (behind, after),
        };
        if let Some(behind) = behind {
            led.and(&format!("{key} {beyond} ?"), integer(behind.0));
        }
        if after.0 > 0 {
            led.and(&format!("{key} > ?"), integer(after.0));
        }
        let name = if plan.asks_names() { "image.name" } else { "''" };
        let name = match asked.is_empty() {
            true => name.to_owned(),
            false => format!("CASE WHEN {} THEN {name} END", asked.text),
        };
        let led_by = led.text;
        let sql = format!("SELECT {key}, {name} FROM {from} WHERE {led_by} ORDER BY {key} {order}");
        // Their places stand in the statement in this order.
        let values = [asked.values, led.values].concat();
        Walk { sql, values, row_steps: if is_in_index { INDEX_STEPS } else { RECORD_STEPS } }
    }
}

/// Conditions that all hold, with the values at their places.
#[derive(Default)]
struct Conditions {
    text: String,
    values: Vec<Value>,
}

impl Conditions {
    fn and(&mut self, condition: &str, value: impl Into<Value>) {
        self.push(condition);
        self.values.push(value.into());
    }

    fn push(&mut self, condition: &str) {
        if !self.text.is_empty() {
            self.text.push_str(" AND ");
        }
        self.text.push_str(condition);
    }

    fn is_empty(&self) -> bool {
        self.text.is_empty()
    }
}

fn along(plan: &PagePlan, person: Option<PersonId>, held: u64) -> Along {
    if let Some(name) = &plan.exact_name {
        return Along::Name(name.clone());
    }
    // The search begins with everybody's: where few could fit it is quicker to look at each of them.
    if held > plan.few
        && let Some(pieces) = search_pieces(&plan.literals())
    {
        return Along::Search(pieces);
    }
    each(person)
}

/// Along every image of this person, or of everybody.
fn each(person: Option<PersonId>) -> Along {
    match person {
        Some(_) => Along::Person,
        None => Along::Page,
    }
}

/// What to ask of the search index: pieces of three characters of these texts, evenly from all of them.
/// None where there are none.
fn search_pieces(literals: &[String]) -> Option<String> {
    let mut pieces: Vec<String> = Vec::new();
    for literal in literals {
        let chars: Vec<char> = literal.chars().collect();
        for window in chars.windows(3) {
            let piece = format!("\"{}\"", String::from_iter(window).replace('"', "\"\""));
            // A text from outside may have a NUL, which no name and no query can.
            if !window.contains(&'\0') && !pieces.contains(&piece) {
                pieces.push(piece);
            }
        }
    }
    let last = pieces.len().checked_sub(1)?;
    let picked: Vec<&str> = match last {
        0..MAX_PIECES => pieces.iter().map(String::as_str).collect(),
        _ => (0..MAX_PIECES).map(|n| pieces[n * last / (MAX_PIECES - 1)].as_str()).collect(),
    };
    Some(picked.join(" AND "))
}

#[cfg(test)]
#[path = "walk_tests.rs"]
mod tests;
