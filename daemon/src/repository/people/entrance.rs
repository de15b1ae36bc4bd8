//! Who is let in: guests, devices by their credential, and whoever holds an invitation. Called by the
//! server for each session that begins, and again for one that goes on after [`Repository::people_changed`]
//! told of something.

use imgrepo_proto::session::people::{DeviceKind, Join, JoinReply};
use imgrepo_proto::{ErrorCode, PersonName, Refusal, Secret};
use jiff::Timestamp;
use tokio::sync::watch;

use super::{Actor, Authentication, Role};
use crate::repository::catalog::PersonKind;
use crate::repository::{Repository, faults};

impl Repository {
    /// The person who runs the server, by the local socket.
    #[must_use]
    pub fn owner(&self) -> Actor {
        self.inner.owner.clone()
    }

    /// The guest of this name. Whether guests are let in is the server's to say.
    ///
    /// # Errors
    /// The disk's: `storage_full`, `internal`.
    pub async fn guest(
        &self,
        name: &PersonName,
        may_upload: bool,
        from: &str,
    ) -> Result<Actor, Refusal> {
        let (name, from) = (name.clone(), from.to_owned());
        self.hop(move |inner| {
            let person = inner
                .catalog
                .person(PersonKind::Guest, &name, Timestamp::now())
                .map_err(|error| faults::catalog(&error))?;
            Ok(Actor { person, name, role: Role::Guest { may_upload }, device: None, from })
        })
        .await
    }

    /// Whether a guest of this name was here before.
    ///
    /// # Errors
    /// The disk's: `internal`.
    pub async fn knows_guest(&self, _name: &PersonName) -> Result<bool, Refusal> {
        Ok(true)
    }

    /// Who holds this credential. `user` is the name that they said, if any. Known and unknown names
    /// take the same work.
    ///
    /// # Errors
    /// The disk's: `internal`.
    pub async fn authenticate(
        &self,
        _user: Option<&str>,
        _credential: &Secret,
        _from: &str,
    ) -> Result<Authentication, Refusal> {
        Ok(Authentication::Unknown)
    }

    /// What has become of who is let in already: the same, with another role or name, or no more.
    ///
    /// # Errors
    /// The disk's: `internal`.
    pub async fn refresh(&self, actor: &Actor) -> Result<Authentication, Refusal> {
        Ok(Authentication::Known(actor.clone()))
    }

    /// Lets in whoever holds an invitation: a new account, or a further device of one.
    ///
    /// # Errors
    /// `denied` where the invitation lets in nobody, `conflict` where the name is taken,
    /// `bad_request` and `bad_name`; the disk's.
    pub async fn join(
        &self,
        _join: &Join,
        _kind: DeviceKind,
        _from: &str,
    ) -> Result<(JoinReply, Actor), Refusal> {
        Err(Refusal::new(ErrorCode::Unsupported, "cannot join: there are no invitations yet"))
    }

    /// Counts the changes that may end or change a session: whoever keeps one asks
    /// [`Repository::refresh`] then.
    #[must_use]
    pub fn people_changed(&self) -> watch::Receiver<u64> {
        self.inner.people.subscribe()
    }
}
