//! Whose queue it is: that of the session's person in the repository of its server, or, without a
//! session, the one that was last met where the session would lead. The runner asks when a server
//! comes or goes, a request each time: so right after `imgctl connect` it is the new one.

use imgrepo_proto::{ErrorCode, PersonName, Refusal};

use crate::session::Peer;
use crate::state::MembershipId;

use super::Shared;

impl Shared {
    /// Whose queue it is, of this server, or without one; None until one was met.
    pub(super) async fn whose(&self, peer: Option<&Peer>) -> Result<Option<MembershipId>, Refusal> {
        match peer {
            Some(peer) => {
                let (repository, person) = peer.membership();
                let person = PersonName::parse(&person).map_err(|error| {
                    Refusal::new(ErrorCode::Internal, format!("the session's person: {error}"))
                })?;
                let url = peer.address().to_owned();
                self.state.join(repository, person, url).await.map(Some)
            }
            None => self.last().await,
        }
    }

    /// The one that the session would be of, were it up.
    async fn last(&self) -> Result<Option<MembershipId>, Refusal> {
        let wanted = {
            let status = self.transfers.session.status();
            let status = status.borrow();
            let person = PersonName::parse(&status.user).ok();
            status.url.clone().zip(person)
        };
        match wanted.or_else(|| self.last.clone()) {
            Some((url, person)) => self.state.membership_at(url, person).await,
            None => Ok(None),
        }
    }
}
