//! Invitations: whatever is pasted is an invitation or refused without being quoted, and what is read is
//! written as it was.

#![no_main]

use imgrepo_proto::invitation::{HostPort, Link, Trust};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(link) = text.parse::<Link>() {
        let again: Link = link.expose().parse().expect("what we write is read");
        assert_eq!(again, link);
        assert!(!link.addresses.is_empty());
        assert_eq!(format!("{:?}", link.secret), "Secret(..)");
    }
    if let Ok(place) = text.parse::<HostPort>() {
        assert_eq!(place.to_string().parse().as_ref(), Ok(&place));
        assert_ne!(place.port, 0);
    }
    if let Ok(trust) = text.parse::<Trust>() {
        assert_eq!(trust.to_string().parse().as_ref(), Ok(&trust));
    }
});
