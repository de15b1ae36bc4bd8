//! The way to a server that is known: where it is, by what it is known, and what lets in. Made of an
//! invitation or of what was kept of one; the session dials it, and by TLS alone.

use imgrepo_proto::Secret;
use imgrepo_proto::invitation::{HostPort, Link, Trust};

use super::ServerUrl;

/// The way to a server that is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// Keys all that is remembered, whichever address is the one that works.
    first: HostPort,
    others: Vec<HostPort>,
    pub(super) trust: Trust,
    /// What AUTH says; none as a guest, and before a JOIN.
    pub(super) credential: Option<Secret>,
}

impl Route {
    /// The way to a server at these addresses; None without any.
    #[must_use]
    pub fn new(addresses: &[HostPort], trust: Trust, credential: Option<Secret>) -> Option<Route> {
        let (first, others) = addresses.split_first()?;
        Some(Route { first: first.clone(), others: others.to_vec(), trust, credential })
    }

    /// The way to the server that an invitation names; None where it names none.
    #[must_use]
    pub fn of_link(link: &Link) -> Option<Route> {
        Route::new(&link.addresses, link.trust.clone(), None)
    }

    /// The one URL under which the server is remembered and shown.
    #[must_use]
    pub fn url(&self) -> ServerUrl {
        ServerUrl::of_place(&self.first)
    }

    /// Every address, in the order in which they are tried: the one that worked last, then as told.
    pub(super) fn places(&self, worked: Option<&HostPort>) -> Vec<HostPort> {
        let mut places = vec![self.first.clone()];
        places.extend_from_slice(&self.others);
        if let Some(at) = places.iter().position(|place| Some(place) == worked) {
            places[..=at].rotate_right(1);
        }
        places
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_worked_is_tried_first_and_the_url_stays() {
        let places: Vec<HostPort> = ["a:1", "b:2", "c:3"].map(|a| a.parse().unwrap()).into();
        let route = Route::new(&places, Trust::Authorities, None).unwrap();
        let order = |worked: &str| {
            let places = route.places(Some(&worked.parse().unwrap()));
            places.iter().map(HostPort::to_string).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(order("a:1"), "a:1 b:2 c:3");
        assert_eq!(order("c:3"), "c:3 a:1 b:2");
        assert_eq!(order("x:9"), "a:1 b:2 c:3");
        assert_eq!(route.url().to_string(), "wss://a:1/");
        assert_eq!(Route::new(&[], Trust::Authorities, None), None);
    }
}
