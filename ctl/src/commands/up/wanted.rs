//! What a person wants the daemon to be, against what it is: what has to be done for it, or why it
//! is not done. Pure but for the look-up of a host's name.

use std::ffi::OsString;
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::path::PathBuf;

use imgrepo_proto::control::reply::Status;
use imgrepo_proto::name::shown;
use imgrepo_proto::{ErrorCode, PersonName, Refusal};

use super::service::Service;

/// What the daemon is to be. Nothing: whatever it is.
#[derive(Debug, Default)]
pub(crate) struct Wanted {
    pub(super) serve: bool,
    pub(super) listen: Option<String>,
    pub(super) user: Option<String>,
    /// Watched folders that have to be told to a daemon that knows no repository yet.
    pub(super) watch: Vec<PathBuf>,
}

/// The manager that is none.
const BACKGROUND: &str = "background";

/// What has to be done.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Act {
    /// Nothing: it runs.
    Nothing,
    /// What `imgrepod service` is to do.
    Service(Vec<OsString>),
}

impl Wanted {
    /// What has to be done where things stand so; `status` is of a daemon that runs.
    pub(super) fn act(&self, service: &Service, status: Option<&Status>) -> Result<Act, Refusal> {
        self.may_be(service, status)?;
        let background = is_in_background(service).then(|| OsString::from("--background"));
        Ok(match (status, service.installed) {
            (Some(_), _) => Act::Nothing,
            (None, true) => {
                Act::Service(std::iter::once("start".into()).chain(background).collect())
            }
            (None, false) => {
                let mut words: Vec<OsString> = vec!["install".into()];
                words.extend(background);
                words.extend(self.flags());
                Act::Service(words)
            }
        })
    }

    fn flags(&self) -> Vec<OsString> {
        let mut flags: Vec<OsString> = Vec::new();
        if self.serve {
            flags.push("--serve".into());
            // Where a server listens is the configuration file's to say as well, which is not
            // read here.
            flags.push(match &self.listen {
                Some(listen) => format!("--listen={listen}").into(),
                None => "--reachable".into(),
            });
        }
        flags.extend(self.user.iter().map(|user| format!("--user={user}").into()));
        // A server has a session of its own, to which folders are added; they can be taken away
        // again there.
        if !self.serve {
            for folder in &self.watch {
                flags.extend([OsString::from("--watch"), folder.into()]);
            }
        }
        flags
    }

    /// Refuses to make something else of a daemon that is there: what is sent where, and who gets
    /// in, hangs on it.
    pub(super) fn may_be(&self, service: &Service, status: Option<&Status>) -> Result<(), Refusal> {
        if status.is_none() && !service.installed {
            return Ok(());
        }
        let is_server = match status {
            Some(status) => status.server.is_some(),
            None => service.is_told("--serve"),
        };
        let refuse = |message: String, flags: String| {
            // A daemon by hand is not the service's to stop.
            let first =
                if service.installed { "imgrepod service uninstall" } else { "imgctl stop" };
            Err(Refusal::new(ErrorCode::Conflict, message)
                .hint(format!("if that is to change: {first} && imgctl up{flags}")))
        };
        if self.serve && !is_server {
            let of = status.and_then(|status| status.session.url.as_deref());
            let of = of.map(|url| format!(" of {}", shown(url))).unwrap_or_default();
            return refuse(format!("the daemon here is a client{of}"), " --serve".to_owned());
        }
        if let Some(listen) = &self.listen {
            let real = status.and_then(|status| Some(&*status.server.as_ref()?.listen));
            let told = service.told("--listen");
            if told != Some(listen) && !real.is_some_and(|real| is_same(listen, real)) {
                let other = told.or(real).unwrap_or("another address");
                let message = format!("the server here listens on {}", shown(other));
                return refuse(message, format!(" --serve --listen {}", shown(listen)));
            }
        }
        if let Some(user) = &self.user {
            let is = status.map(|status| &*status.session.user).or(service.told("--user"));
            let same = |name: &str| match (PersonName::parse(user), PersonName::parse(name)) {
                (Ok(one), Ok(other)) => one == other,
                _ => user == name,
            };
            if let Some(name) = is.filter(|name| !same(name)) {
                let serve = if is_server { " --serve" } else { "" };
                let message = format!("the daemon here acts as `{}`", shown(name));
                return refuse(message, format!("{serve} --user {}", shown(user)));
            }
        }
        Ok(())
    }
}

/// Whether the daemon is to run without a manager.
pub(super) fn is_in_background(service: &Service) -> bool {
    service.absent.is_some() || service.elsewhere || service.manager == BACKGROUND
}

/// Whether a server that was told to listen there listens here. Port 0 is any.
fn is_same(told: &str, real: &str) -> bool {
    let Ok(real) = real.parse::<SocketAddr>() else { return told == real };
    let fits = |told: SocketAddr| {
        told.ip() == real.ip() && (told.port() == real.port() || told.port() == 0)
    };
    told.to_socket_addrs().is_ok_and(|mut told| told.any(fits))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(words: &[&str]) -> Service {
        let arguments = Some(words.iter().map(|&word| word.to_owned()).collect());
        Service { installed: true, arguments, ..Service::default() }
    }

    fn words(wanted: &Wanted, service: &Service) -> String {
        match wanted.act(service, None).unwrap() {
            Act::Service(words) => words.join(" ".as_ref()).display().to_string(),
            Act::Nothing => String::new(),
        }
    }

    #[test]
    fn what_is_missing_is_made_and_what_was_told_is_kept() {
        let server = Wanted { serve: true, user: Some("ana".into()), ..Wanted::default() };
        let fresh = Service::default();
        assert_eq!(words(&server, &fresh), "install --serve --reachable --user=ana");
        let client = Wanted { watch: vec!["/p".into()], ..Wanted::default() };
        assert_eq!(words(&client, &fresh), "install --watch /p");
        let alone = Service { absent: Some("no bus".into()), ..Service::default() };
        assert_eq!(words(&Wanted::default(), &alone), "install --background");
        let second = Service { elsewhere: true, ..Service::default() };
        assert_eq!(words(&Wanted::default(), &second), "install --background");
        // Whatever it is.
        assert_eq!(words(&Wanted::default(), &told(&["--serve"])), "start");
        assert_eq!(words(&server, &told(&["--serve", "--user=ana"])), "start");
        let stranded = Service { absent: Some("no bus".into()), ..told(&["--serve"]) };
        assert_eq!(words(&Wanted::default(), &stranded), "start --background");
    }

    #[test]
    fn a_daemon_is_not_made_into_another() {
        let server = Wanted { serve: true, ..Wanted::default() };
        let refused = server.act(&told(&[]), None).unwrap_err();
        assert_eq!(refused.code, ErrorCode::Conflict);
        assert_eq!(
            refused.hint.unwrap(),
            "if that is to change: imgrepod service uninstall && imgctl up --serve"
        );
        let wide = Wanted { listen: Some("0.0.0.0:1".into()), ..server };
        assert!(wide.act(&told(&["--serve", "--listen=0.0.0.0:1"]), None).is_ok());
        let refused = wide.act(&told(&["--serve", "--listen=127.0.0.1:1"]), None).unwrap_err();
        assert_eq!(refused.message, "the server here listens on 127.0.0.1:1");
        let bia = Wanted { user: Some(" bia".into()), ..Wanted::default() };
        assert!(bia.act(&told(&["--user=bia"]), None).is_ok());
        assert!(bia.act(&told(&["--user=ana"]), None).is_err());
    }

    #[test]
    fn an_address_is_the_same_by_whatever_it_is_called() {
        assert!(is_same("[::]:8765", "[::]:8765"));
        assert!(is_same("127.0.0.1:0", "127.0.0.1:4321"));
        assert!(!is_same("127.0.0.1:1", "127.0.0.1:2"));
        assert!(!is_same("127.0.0.1:1", "[::1]:1"));
        assert!(!is_same("x", "127.0.0.1:1"));
    }
}
