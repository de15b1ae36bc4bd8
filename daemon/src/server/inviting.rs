//! What an invitation looks like outside: the link for a program, the one for a browser, and what
//! keeps others from getting here by them. Pure, but for [`Context::way_in`], which asks the system for
//! its addresses.

use std::net::{IpAddr, SocketAddr};

use imgrepo_proto::invitation::{HostPort, Link, Trust};
use imgrepo_proto::session::people::{Invitation, InviteReply};
use imgrepo_proto::{ErrorCode, Refusal, Secret};

use super::reach::public_place;
use super::{Context, Settings, addresses};

/// Where a proxy speaks HTTPS, unless `public_host` says another port.
const HTTPS_PORT: u16 = 443;

/// How others come to this server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct WayIn {
    /// The best first; at least one.
    pub(super) addresses: Vec<HostPort>,
    trust: Trust,
    /// What keeps others from it.
    notice: Option<String>,
}

impl Context {
    /// How others come here, as it is at this moment. Blocks for a moment.
    pub(super) fn way_in(&self) -> Result<WayIn, Refusal> {
        let settings = &self.settings;
        if let Some(way) = WayIn::by_proxy(settings) {
            return Ok(way);
        }
        let addresses = addresses(self.address, settings.public_host.as_deref());
        let Some(identity) = &settings.identity else {
            let message =
                "cannot invite anybody: this server has no key of its own to encrypt with";
            return Err(Refusal::new(ErrorCode::Unsupported, message));
        };
        let notice = notice(self.address, &addresses, !settings.trusted_proxies.is_empty());
        Ok(WayIn { addresses, trust: identity.trust(), notice })
    }
}

impl WayIn {
    /// By the proxy before it, where its name is known. The certificate is the proxy's, and is for
    /// that name alone: no other address leads anywhere.
    fn by_proxy(settings: &Settings) -> Option<WayIn> {
        let host = settings.public_host.as_deref();
        let host = host.filter(|_| !settings.trusted_proxies.is_empty())?;
        let addresses = vec![public_place(host, HTTPS_PORT)?];
        Some(WayIn { addresses, trust: Trust::Authorities, notice: None })
    }

    /// An invitation with its secret, as it is handed over.
    pub(super) fn invite(
        self,
        invitation: Invitation,
        secret: Secret,
    ) -> Result<InviteReply, Refusal> {
        let bad = |_| Refusal::new(ErrorCode::Internal, "cannot write the invitation's link");
        // A further device is let in by logging in there.
        let path = if invitation.person.is_some() { "login" } else { "join" };
        let host = self.addresses.first().map(HostPort::to_string).unwrap_or_default();
        let page = Secret::parse(&format!("https://{host}/{path}#{}", secret.expose()));
        let link = Link { addresses: self.addresses, secret, trust: self.trust };
        let link = Secret::parse(&link.expose()).map_err(bad)?;
        Ok(InviteReply { invitation, link, page: page.map_err(bad)?, notice: self.notice })
    }
}

fn notice(listen: SocketAddr, addresses: &[HostPort], is_behind_proxy: bool) -> Option<String> {
    let is_loopback =
        |place: &HostPort| place.host.parse().is_ok_and(|ip: IpAddr| ip.is_loopback());
    if !addresses.iter().all(is_loopback) {
        return None;
    }
    Some(if is_behind_proxy {
        "the server does not know under which name its proxy is reached: say it by `public_host` in \
         its configuration"
            .to_owned()
    } else if listen.ip().is_loopback() {
        format!(
            "the server listens on `{listen}` alone, so only this computer gets there: start it with \
             `--listen [::]:{}` for others",
            listen.port()
        )
    } else {
        "this computer has no address in a network now, so nobody else gets there".to_owned()
    })
}

#[cfg(test)]
mod tests {
    use imgrepo_proto::session::people::InvitationId;

    use super::*;

    fn invited(person: Option<&str>) -> InviteReply {
        let places = ["photos.example:443", "10.0.0.7:8765"].map(|place| place.parse().unwrap());
        let way = WayIn {
            addresses: places.to_vec(),
            trust: Trust::Pin([7; 32]),
            notice: Some("no".to_owned()),
        };
        let now = jiff::Timestamp::UNIX_EPOCH;
        let invitation = Invitation {
            id: InvitationId(1),
            role: None,
            person: person.map(str::to_owned),
            guest: None,
            uses: 1,
            by: "owner".to_owned(),
            since: now,
            expires: now,
            revoked: None,
        };
        way.invite(invitation, Secret::parse("s3cret").unwrap()).unwrap()
    }

    #[test]
    fn the_link_says_all_and_the_page_hides_the_secret_behind_the_hash() {
        let reply = invited(None);
        let link: Link = reply.link.expose().parse().unwrap();
        assert_eq!((link.addresses.len(), link.secret.expose()), (2, "s3cret"));
        assert_eq!(link.trust, Trust::Pin([7; 32]));
        assert_eq!(reply.page.expose(), "https://photos.example:443/join#s3cret");
        assert_eq!(invited(Some("ana")).page.expose(), "https://photos.example:443/login#s3cret");
    }

    #[test]
    fn behind_a_proxy_its_name_alone_leads_here() {
        let way = |public_host: &str, proxies: &[&str]| {
            WayIn::by_proxy(&Settings {
                public_host: Some(public_host.to_owned()),
                trusted_proxies: proxies.iter().map(|net| net.parse().unwrap()).collect(),
                ..Settings::default()
            })
        };
        let there = ["127.0.0.1/32"];
        for (host, place) in [
            ("photos.example", "photos.example:443"),
            ("photos.example:8443", "photos.example:8443"),
        ] {
            let way = way(host, &there).unwrap();
            assert_eq!(way.addresses, [place.parse().unwrap()]);
            assert_eq!((way.trust, way.notice), (Trust::Authorities, None));
        }
        assert_eq!(way("no name", &there), None);
        assert_eq!(way("photos.example", &[]), None);
    }

    #[test]
    fn who_cannot_be_reached_is_told() {
        let told = |listen: &str, place: &str, behind| {
            notice(listen.parse().unwrap(), &[place.parse().unwrap()], behind).unwrap_or_default()
        };
        assert!(told("127.0.0.1:9", "127.0.0.1:9", false).contains("--listen [::]:9"));
        assert!(told("[::]:9", "127.0.0.1:9", false).contains("no address"));
        assert!(told("127.0.0.1:9", "[::1]:9", true).contains("public_host"));
        assert_eq!(told("127.0.0.1:9", "photos.example:9", false), "");
        assert_eq!(told("[::]:9", "192.168.1.2:9", false), "");
    }
}
