//! The cookie by which a browser is known: it holds the credential of a device, and nothing else.
//! Pure; called by `api` alone. Nothing is remembered of it here: whether it still lets in, the
//! repository is asked each time.
//!
//! `__Host-` has browsers take it only over TLS (or from the loopback), for the whole of this host and
//! for no other (RFC 6265bis, 4.1.3.2). Cookies do not tell ports apart: of two servers on one host a
//! browser is let in by the one that it logged in to last.

use axum::http::{HeaderMap, HeaderValue, header};

use imgrepo_proto::Secret;

const NAME: &str = "__Host-imgrepo";

/// For how long a browser keeps it without coming back: who looks at their pictures every other month
/// stays known, and one that is never used again forgets it in the end.
const KEPT_SECONDS: u32 = 90 * 24 * 60 * 60;

/// The credential that a browser says. None where it says several: then one of them is not of our
/// making.
pub(super) fn read(headers: &HeaderMap) -> Option<Secret> {
    let lines = headers.get_all(header::COOKIE).into_iter().filter_map(|line| line.to_str().ok());
    let pairs = lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.split_once('='));
    let mut ours = pairs.filter(|(name, _)| name.trim() == NAME).map(|(_, value)| value.trim());
    match (ours.next(), ours.next()) {
        (Some(value), None) => Secret::parse(value).ok(),
        _ => None,
    }
}

/// `Set-Cookie` that has a browser keep this credential. None where it has what a cookie cannot have
/// (RFC 6265, 4.1.1), which the repository's have not.
pub(super) fn kept(credential: &Secret) -> Option<HeaderValue> {
    let value = credential.expose();
    match value.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)) {
        true => line(value, KEPT_SECONDS),
        false => None,
    }
}

/// `Set-Cookie` that has a browser forget it.
pub(super) fn forgotten() -> Option<HeaderValue> {
    line("", 0)
}

fn line(value: &str, seconds: u32) -> Option<HeaderValue> {
    let line =
        format!("{NAME}={value}; Path=/; Secure; HttpOnly; SameSite=Strict; Max-Age={seconds}");
    let mut line = HeaderValue::try_from(line).ok()?;
    // What writes headers to a log leaves it out.
    line.set_sensitive(true);
    Some(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(lines: &[&str]) -> Option<String> {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(header::COOKIE, HeaderValue::from_bytes(line.as_bytes()).unwrap());
        }
        read(&headers).map(|secret| secret.expose().to_owned())
    }

    #[test]
    fn it_is_found_among_others() {
        let credential = Some("abc-_1".to_owned());
        for lines in [
            &["__Host-imgrepo=abc-_1"][..],
            &["a=b; __Host-imgrepo=abc-_1; c"],
            &["a=b;__Host-imgrepo=abc-_1"],
            &["a=b", "__Host-imgrepo=abc-_1"],
            &["imgrepo=x; __Host-imgrepo2=y; __host-imgrepo=z; __Host-imgrepo=abc-_1"],
        ] {
            assert_eq!(said(lines), credential, "{lines:?}");
        }
    }

    #[test]
    fn what_is_no_credential_or_several_is_none() {
        let long = format!("__Host-imgrepo={}", "a".repeat(5000));
        for lines in [
            &[][..],
            &[""],
            &["__Host-imgrepo"],
            &["__Host-imgrepo="],
            &["__Host-imgrepo=a b"],
            &["__Host-imgrepo=é"],
            &["__Host-imgrepo=a; __Host-imgrepo=b"],
            &["__Host-imgrepo=a", "__Host-imgrepo=a"],
            &[&long],
        ] {
            assert_eq!(said(lines), None, "{lines:?}");
        }
    }

    #[test]
    fn it_is_kept_from_scripts_other_sites_and_plain_ways() {
        let kept = kept(&Secret::parse("abc-_1").unwrap()).unwrap();
        assert_eq!(
            kept,
            "__Host-imgrepo=abc-_1; Path=/; Secure; HttpOnly; SameSite=Strict; Max-Age=7776000"
        );
        assert!(kept.is_sensitive());
        assert!(forgotten().unwrap().to_str().unwrap().ends_with("; Max-Age=0"));
        for strange in ["a;b", "a,b", "a\"b", "a\\b"] {
            assert_eq!(super::kept(&Secret::parse(strange).unwrap()), None, "{strange}");
        }
    }
}
