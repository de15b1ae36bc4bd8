//! The part of a target behind `?`: parameters, decoded, each taken once. What nobody takes is refused,
//! as is what is said twice: a filter that is not understood must not widen a search. Called by
//! `request` alone.

use crate::error::{ErrorCode, Refusal};
use crate::name::shown;

/// More than any address has.
const MAX_PARAMETERS: usize = 16;

/// The parameters that nobody has taken yet.
#[derive(Debug)]
pub(super) struct Query(Vec<(String, String)>);

impl Query {
    /// Reads `a=1&b=x%20y+z`, as browsers write it (application/x-www-form-urlencoded).
    pub(super) fn read(text: &str) -> Result<Query, Refusal> {
        let mut parameters: Vec<(String, String)> = Vec::new();
        for pair in text.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let (name, value) = (decoded(name)?, decoded(value)?);
            if parameters.iter().any(|(other, _)| *other == name) {
                return Err(bad(format!("`{}` is said twice", shown(&name))));
            }
            if parameters.len() == MAX_PARAMETERS {
                return Err(bad(format!("there are more than {MAX_PARAMETERS} parameters")));
            }
            parameters.push((name, value));
        }
        Ok(Query(parameters))
    }

    /// The value of a parameter.
    pub(super) fn take(&mut self, name: &str) -> Option<String> {
        let at = self.0.iter().position(|(other, _)| other == name)?;
        Some(self.0.swap_remove(at).1)
    }

    /// The value of a parameter that reads as something.
    pub(super) fn take_as<T>(
        &mut self,
        name: &str,
        what: &str,
        read: impl FnOnce(&str) -> Option<T>,
    ) -> Result<Option<T>, Refusal> {
        let Some(value) = self.take(name) else { return Ok(None) };
        let read = read(&value).ok_or_else(|| bad(format!("`{name}` is no {what}")))?;
        Ok(Some(read))
    }

    /// Whether a parameter that is said or not is said.
    pub(super) fn take_flag(&mut self, name: &str) -> Result<bool, Refusal> {
        let is_word = |value: &str| matches!(value, "" | "1" | "true").then_some(());
        Ok(self.take_as(name, "word that goes without a value", is_word)?.is_some())
    }

    /// Refuses what is left.
    pub(super) fn finish(self) -> Result<(), Refusal> {
        match self.0.first() {
            None => Ok(()),
            Some((name, _)) => {
                let message = format!("there is no parameter `{}` here", shown(name));
                Err(Refusal::new(ErrorCode::Unsupported, message))
            }
        }
    }
}

pub(super) fn bad(why: String) -> Refusal {
    Refusal::new(ErrorCode::BadRequest, format!("cannot read the request's address: {why}"))
}

/// Percent-decoding (RFC 3986, 2.1) of a text that has to be UTF-8; `+` is a space.
fn decoded(text: &str) -> Result<String, Refusal> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, behind)) = rest.split_first() {
        rest = behind;
        bytes.push(match first {
            b'+' => b' ',
            b'%' => {
                let digit = |at: usize| behind.get(at).and_then(|&it| char::from(it).to_digit(16));
                let (Some(high), Some(low)) = (digit(0), digit(1)) else {
                    return Err(bad("a `%` is followed by no two hex digits".to_owned()));
                };
                rest = &behind[2..];
                // Two hex digits fit a byte.
                (high << 4 | low) as u8
            }
            other => other,
        });
    }
    String::from_utf8(bytes).map_err(|_| bad("a parameter is no UTF-8".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_decoded_and_taken_once() {
        let text = "a=1&b=x%20y+z%2B%26%3d&&c&d=%C3%A9=%3F&=e";
        let mut query = Query::read(text).unwrap();
        assert_eq!(query.take("b").as_deref(), Some("x y z+&="));
        assert_eq!(query.take("b"), None);
        assert_eq!(query.take("a").as_deref(), Some("1"));
        assert_eq!(query.take("d").as_deref(), Some("é=?"));
        assert!(query.take_flag("c").unwrap());
        assert!(!query.take_flag("c").unwrap());
        assert_eq!(query.take("").as_deref(), Some("e"));
        query.finish().unwrap();
    }

    #[test]
    fn what_is_wrong_is_said() {
        for text in ["a=%", "a=%2", "a=%zz", "a=%+1", "a=%ff", "a=1&a=2", "a=1&%61=2", "%=1"] {
            assert_eq!(Query::read(text).unwrap_err().code, ErrorCode::BadRequest, "{text}");
        }
        let many: Vec<String> = (0..17).map(|number| format!("p{number}=1")).collect();
        assert!(Query::read(&many[..16].join("&")).is_ok());
        assert!(Query::read(&many.join("&")).is_err());
        let left = Query::read("uploaded=1").unwrap().finish().unwrap_err();
        assert_eq!(left.code, ErrorCode::Unsupported);
        assert!(Query::read("a=maybe").unwrap().take_flag("a").is_err());
    }
}
