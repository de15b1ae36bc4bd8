//! What lets this computer in: for each person in a repository, where its server is, by what it is
//! known, and the credential of this device. Kept in `state/credentials.json`, for its user alone.
//!
//! A join adds to it; whoever connects asks it for the way to a server. Nothing here is sent, and
//! nothing but the file ever shows a credential.

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use imgrepo_proto::invitation::{HostPort, Trust};
use imgrepo_proto::session::people::DeviceId;
use imgrepo_proto::{PersonName, Refusal, RepositoryId, Secret};
use serde::{Deserialize, Serialize};

use super::{Address, Route, ServerUrl, document};

/// How this device is let in somewhere.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Joined {
    /// Into which repository.
    pub repository: RepositoryId,
    /// As whom.
    pub user: PersonName,
    /// Where its server is; the first keys what is remembered of it. At least one.
    pub addresses: Vec<HostPort>,
    /// By what the server is known.
    pub trust: Trust,
    /// The device's number there.
    pub device: DeviceId,
    /// What it says.
    pub credential: Secret,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Contents {
    /// The newest last.
    joined: Vec<Joined>,
}

/// The file and what is in it.
#[derive(Debug)]
pub struct Credentials {
    path: PathBuf,
    now: Mutex<Contents>,
}

impl Credentials {
    /// Reads the file; one that is missing lets in nowhere. One that cannot be understood is kept
    /// aside under another name and said in the log. Blocks.
    ///
    /// # Errors
    /// A file that cannot be read, or that a newer version wrote: it is left as it is.
    pub fn open(path: PathBuf) -> Result<Credentials, Refusal> {
        let now = document::read(&path)?.unwrap_or_default();
        Ok(Credentials { path, now: Mutex::new(now) })
    }

    /// Where what was corrupt of the file lies. Blocks.
    #[must_use]
    pub fn aside(&self) -> Option<PathBuf> {
        document::kept_aside(&self.path)
    }

    /// Whether something new could be kept: writes what there is once more. Before an invitation is
    /// used up for a credential that would then be lost. Blocks.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn check(&self) -> Result<(), Refusal> {
        self.change(|_| {})
    }

    /// Keeps how this device is let in, durably; what let it in there before as the same person is
    /// forgotten. Blocks.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn keep(&self, joined: Joined) -> Result<(), Refusal> {
        self.change(|now| {
            now.joined
                .retain(|old| (&old.repository, &old.user) != (&joined.repository, &joined.user));
            now.joined.push(joined);
        })
    }

    /// Forgets what lets this person in at this URL, durably; the device that this was. Blocks.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn forget(&self, url: &ServerUrl, user: &PersonName) -> Result<Option<DeviceId>, Refusal> {
        let device = self.device_at(url, user);
        if device.is_some() {
            let place = url.place();
            self.change(|now| {
                now.joined.retain(|one| one.user != *user || !one.addresses.contains(&place));
            })?;
        }
        Ok(device)
    }

    /// Which device this computer is at this URL as this person.
    #[must_use]
    pub fn device_at(&self, url: &ServerUrl, user: &PersonName) -> Option<DeviceId> {
        let (now, place) = (self.now.lock().unwrap_or_else(PoisonError::into_inner), url.place());
        let mut joined = now.joined.iter().rev();
        let own = joined.find(|one| one.user == *user && one.addresses.contains(&place));
        own.map(|one| one.device)
    }

    fn change(&self, change: impl FnOnce(&mut Contents)) -> Result<(), Refusal> {
        // Held while the file is written, so that two requests leave it as the later one said.
        let mut now = self.now.lock().unwrap_or_else(PoisonError::into_inner);
        let mut next = now.clone();
        change(&mut next);
        document::write(&self.path, &next)?;
        *now = next;
        Ok(())
    }

    /// The way to the server at this URL as this person: that of the invitation where there was one
    /// to any of its addresses, however the URL is written; what is known is never left for less.
    #[must_use]
    pub fn address(&self, url: &ServerUrl, user: &PersonName) -> Address {
        let (now, place) = (self.now.lock().unwrap_or_else(PoisonError::into_inner), url.place());
        let there = || now.joined.iter().rev().filter(|one| one.addresses.contains(&place));
        let route =
            |one: &Joined, credential| Route::new(&one.addresses, one.trust.clone(), credential);
        let own = there().find(|one| one.user == *user);
        let found = match own {
            Some(own) => route(own, Some(own.credential.clone())),
            // A guest; and yet the server is known.
            None if url.is_tls() => there().next().and_then(|other| route(other, None)),
            None => None,
        };
        found.map_or_else(|| Address::Url(url.clone()), Address::Route)
    }

    /// As whom this device was let in by the server at this URL: as this one, where it was, else as
    /// the one of the newest invitation.
    #[must_use]
    pub fn user_at(&self, url: &ServerUrl, preferred: &PersonName) -> Option<PersonName> {
        let (now, place) = (self.now.lock().unwrap_or_else(PoisonError::into_inner), url.place());
        let there = || now.joined.iter().rev().filter(|one| one.addresses.contains(&place));
        let found = there().find(|one| one.user == *preferred).or_else(|| there().next());
        found.map(|one| one.user.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PIN: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8";

    fn joined(repository: &str, user: &str, credential: &str) -> Joined {
        Joined {
            repository: RepositoryId(repository.to_owned()),
            user: PersonName::parse(user).unwrap(),
            addresses: ["photos.example:8765", "10.0.0.7:8765"].map(|a| a.parse().unwrap()).into(),
            trust: PIN.parse().unwrap(),
            device: DeviceId(7),
            credential: Secret::parse(credential).unwrap(),
        }
    }

    fn url(text: &str) -> ServerUrl {
        ServerUrl::parse(text).unwrap()
    }

    fn name(text: &str) -> PersonName {
        PersonName::parse(text).unwrap()
    }

    #[test]
    fn what_was_kept_is_found_by_any_address_however_written() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("credentials.json");
        let credentials = Credentials::open(path.clone()).unwrap();
        credentials.keep(joined("r", "ana", "first")).unwrap();
        credentials.keep(joined("r", "bia", "other")).unwrap();
        credentials.keep(joined("r", "ana", "second")).unwrap();
        let credentials = Credentials::open(path).unwrap();
        assert_eq!(credentials.now.lock().unwrap().joined.len(), 2);
        for written in ["photos.example", "ws://10.0.0.7/", "wss://Photos.example:8765"] {
            let Address::Route(route) = credentials.address(&url(written), &name("ana")) else {
                panic!("{written}")
            };
            assert_eq!(route.credential.as_ref().unwrap().expose(), "second");
            let address = Address::Route(route);
            assert_eq!(address.to_string(), "wss://photos.example:8765/", "one key for all");
            assert!(!format!("{address:?}").contains("second"));
        }
        assert!(!format!("{credentials:?}").contains("second"));
        // Whoever was not invited there.
        let guest = credentials.address(&url("10.0.0.7"), &name("eva"));
        assert_eq!(guest, Address::Url(url("10.0.0.7")));
        let Address::Route(guest) = credentials.address(&url("wss://10.0.0.7"), &name("eva"))
        else {
            panic!()
        };
        assert_eq!((guest.credential, guest.trust.to_string().as_str()), (None, PIN));
        let elsewhere = url("photos.example:9");
        assert_eq!(credentials.address(&elsewhere, &name("ana")), Address::Url(elsewhere.clone()));

        let at = |text, preferred| credentials.user_at(&url(text), &name(preferred));
        assert_eq!(at("10.0.0.7", "bia"), Some(name("bia")));
        assert_eq!(at("10.0.0.7", "eva"), Some(name("ana")));
        assert_eq!(at("photos.example:9", "ana"), None);

        let forget = |text, user| credentials.forget(&url(text), &name(user)).unwrap();
        assert_eq!((forget("10.0.0.7", "eva"), forget("photos.example:9", "ana")), (None, None));
        assert_eq!(forget("10.0.0.7", "ana"), Some(DeviceId(7)));
        assert_eq!(forget("10.0.0.7", "ana"), None);
        assert_eq!(at("10.0.0.7", "ana"), Some(name("bia")));
        let kept = std::fs::read_to_string(home.path().join("credentials.json")).unwrap();
        assert!(kept.contains("other") && !kept.contains("second"));
    }

    #[test]
    fn the_first_format_is_read_for_ever() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("credentials.json");
        let sample = format!(
            r#"{{"v": 1, "joined": [{{"repository": "r", "user": "ana",
            "addresses": ["photos.example:8765", "10.0.0.7:8765"], "trust": "{PIN}",
            "device": 7, "credential": "s3cret"}}]}}"#
        );
        std::fs::write(&path, sample).unwrap();
        let credentials = Credentials::open(path.clone()).unwrap();
        assert_eq!(credentials.now.lock().unwrap().joined, [joined("r", "ana", "s3cret")]);
        std::fs::write(&path, r#"{"v": 1, "joined": [{"credential": "s3cret"#).unwrap();
        let refused = Credentials::open(path.clone()).unwrap();
        assert_eq!(refused.user_at(&url("10.0.0.7"), &name("ana")), None);
        assert!(home.path().join("credentials.json.corrupt").exists());
    }
}
