//! The arguments of LIST: which records, in which order, how many. A filter that is not understood
//! must not widen a search, so here alone an unknown member is an error.

use jiff::Timestamp;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;

use super::request::arguments;
use crate::error::{ErrorCode, Refusal};
use crate::limits;

/// The arguments of LIST.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct List {
    /// Which records.
    #[serde(
        default,
        skip_serializing_if = "Filter::is_everything",
        deserialize_with = "Filter::from_object"
    )]
    pub filter: Filter,
    /// In which order.
    #[serde(default)]
    pub sort: Sort,
    /// Records in the page: 1 to [`limits::MAX_PAGE`]; [`limits::DEFAULT_PAGE`] when missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
    /// `next` of the page before, with the same filter and order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
}

/// Which records a LIST gives: those that fit every member that is there.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Filter {
    /// A glob (`*`, `?`, `[a-z]`) over the whole name, without regard to case.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// This exact name, in NFC and with regard to case.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exact_name: Option<String>,
    /// Uploaded by the person of this name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uploader: Option<String>,
    /// The name has this in it, without regard to case.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// Uploaded at this time or later.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uploaded_from: Option<Timestamp>,
    /// Uploaded before this time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uploaded_before: Option<Timestamp>,
    /// Of this media type, such as `image/png`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub media_type: Option<String>,
    /// Where the records are.
    #[serde(skip_serializing_if = "State::is_listed")]
    pub state: State,
}

impl Filter {
    /// A filter that is an object: an array of values in their order is not one.
    fn from_object<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Filter, D::Error> {
        let members = serde_json::Map::deserialize(deserializer)?;
        serde_json::from_value(serde_json::Value::Object(members)).map_err(D::Error::custom)
    }

    /// Whether it keeps every listed record.
    #[must_use]
    pub fn is_everything(&self) -> bool {
        *self == Filter::default()
    }
}

/// Where an image is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// In the repository.
    #[default]
    Listed,
    /// In the trash: one's own, and for the owner everybody's.
    Trashed,
}

impl State {
    fn is_listed(&self) -> bool {
        *self == State::Listed
    }
}

/// The order of a LIST.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sort {
    /// By upload, the newest first.
    #[default]
    Newest,
    /// By upload, the oldest first.
    Oldest,
}

impl List {
    /// Reads the arguments of LIST; a member of the filter that is not known is `unsupported`, and a
    /// text that is too long is refused here, before it waits for its turn.
    pub(super) fn decode(args: Option<&RawValue>) -> Result<List, Refusal> {
        let list: List = arguments("LIST", args).map_err(|mut refusal| {
            if args.is_some_and(|args| List::unknown_member(args.get())) {
                refusal.code = ErrorCode::Unsupported;
            }
            refusal
        })?;
        list.bounded()
    }

    /// Refuses a text that is too long, before it waits for its turn.
    pub(crate) fn bounded(self) -> Result<List, Refusal> {
        let filter = &self.filter;
        for (member, text) in [
            ("name", &filter.name),
            ("exact_name", &filter.exact_name),
            ("uploader", &filter.uploader),
            ("text", &filter.text),
            ("media_type", &filter.media_type),
            ("cursor", &self.cursor),
        ] {
            let length = text.as_ref().map_or(0, String::len);
            if length > limits::MAX_FILTER_TEXT_BYTES {
                let most = limits::MAX_FILTER_TEXT_BYTES;
                let message =
                    format!("cannot list by a `{member}` of {length} bytes, the limit is {most}");
                return Err(Refusal::new(ErrorCode::BadRequest, message));
            }
        }
        Ok(self)
    }

    /// Whether the filter has a member, or a word for a state or an order, that is not known here.
    fn unknown_member(args: &str) -> bool {
        const MEMBERS: [&str; 8] = [
            "name",
            "exact_name",
            "uploader",
            "text",
            "uploaded_from",
            "uploaded_before",
            "media_type",
            "state",
        ];
        let Ok(args) = serde_json::from_str::<serde_json::Value>(args) else { return false };
        let unknown_word = |value: Option<&serde_json::Value>, known: &[&str]| {
            value.and_then(|value| value.as_str()).is_some_and(|word| !known.contains(&word))
        };
        let filter = args.get("filter").and_then(|filter| filter.as_object());
        unknown_word(args.get("sort"), &["newest", "oldest"])
            || filter.is_some_and(|filter| {
                filter.keys().any(|member| !MEMBERS.contains(&member.as_str()))
                    || unknown_word(filter.get("state"), &["listed", "trashed"])
            })
    }

    /// Records in the page that is asked for.
    #[must_use]
    pub fn page_size(&self) -> u32 {
        self.limit.unwrap_or(limits::DEFAULT_PAGE).clamp(1, limits::MAX_PAGE)
    }
}
