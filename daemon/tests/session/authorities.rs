//! Servers that are known by their name: an authority of this system has to say so, and until it has
//! they hear nothing.

use std::fs;
use std::path::Path;

use imgrepo_proto::control::reply::{SessionState, Transport};
use imgrepo_proto::{ErrorCode, PersonName, Seq};
use imgrepod::session::{Address, ServerUrl};
use imgrepod::tls::Identity;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};

use crate::daemon;
use crate::scripted::Server;

/// Stands in the environment of a process whose system has one authority: the file with it and its
/// key.
const INNER: &str = "IMGREPO_TEST_AUTHORITY";

#[tokio::test]
async fn a_name_counts_with_an_authority_of_this_system_alone() {
    if let Some(key) = std::env::var_os(INNER) {
        return by_the_systems_authority(&fs::read_to_string(key).unwrap()).await;
    }
    let folder = tempfile::tempdir().unwrap();
    let (roots, key) = (folder.path().join("roots.pem"), folder.path().join("roots.key"));
    let authority = authority("system", KeyPair::generate().unwrap());
    fs::write(&roots, authority.pem()).unwrap();
    fs::write(&key, authority.key().serialize_pem()).unwrap();
    let done = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "authorities::a_name_counts_with_an_authority_of_this_system_alone"])
        .env(INNER, &key)
        .env("SSL_CERT_FILE", &roots)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&done.stdout);
    assert!(done.status.success() && said.contains("1 passed"), "{said}");
}

/// The same with the same name and key.
fn authority(name: &str, key: KeyPair) -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::OrganizationName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, key).unwrap()
}

fn issued(
    by: &CertifiedIssuer<'_, KeyPair>,
    folder: &Path,
    change: fn(&mut CertificateParams),
) -> Identity {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
    params.is_ca = IsCa::ExplicitNoCa;
    change(&mut params);
    let paths = (folder.join("given.pem"), folder.join("given.key"));
    fs::write(&paths.0, params.signed_by(&key, by).unwrap().pem()).unwrap();
    fs::write(&paths.1, key.serialize_pem()).unwrap();
    Identity::files(&paths.0, &paths.1, None).unwrap()
}

async fn by_the_systems_authority(key: &str) {
    let folder = tempfile::tempdir().unwrap();
    let system = authority("system", KeyPair::from_pem(key).unwrap());
    let unknown = authority("unknown", KeyPair::generate().unwrap());
    let mut server = Server::start_tls().await;
    let url = ServerUrl::parse(&format!("wss://{}/", server.place())).unwrap();
    let daemon = daemon();
    let connect =
        || daemon.session.connect(Address::Url(url.clone()), PersonName::parse("ana").unwrap());

    type Change = fn(&mut CertificateParams);
    let of_another: Change = |params| {
        params.subject_alt_names =
            CertificateParams::new(vec!["other.example".to_owned()]).unwrap().subject_alt_names;
    };
    let expired: Change = |params| {
        params.not_before = rcgen::date_time_ymd(2020, 1, 1);
        params.not_after = rcgen::date_time_ymd(2021, 1, 1);
    };
    for (by, change, told) in [
        (&system, of_another, "other.example"),
        (&system, expired, "expired on 2021-01-01"),
        (&unknown, |_| {}, "no certificate authority"),
    ] {
        server.be(issued(by, folder.path(), change));
        connect();
        assert!(server.is_shunned().await, "{told}");
        daemon.state(SessionState::Refused).await;
        let error = daemon.session.status().borrow().error.clone().unwrap();
        assert_eq!(error.code, ErrorCode::Denied);
        assert!(error.message.contains(told), "{told}: {error}");
    }

    server.be(issued(&system, folder.path(), |_| {}));
    connect();
    let mut conn = server.accept_v2().await;
    let auth = conn.greet(Seq(0)).await;
    assert_eq!((auth.user.as_deref(), auth.credential), (Some("ana"), None));
    daemon.state(SessionState::Connected).await;
    let status = daemon.session.status().borrow().clone();
    assert_eq!(status.transport, Some(Transport::Authorities));
}
