//! Both ends against each other, over streams in memory, with certificates of every kind.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use imgrepo_proto::ErrorCode;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{PrivateKeyDer, ServerName};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};
use tokio::time::{Duration, advance};
use tokio_rustls::TlsAcceptor;

use super::connect::shake_hands;
use super::*;

/// What each direction of a stream in memory holds: less than a handshake, as on a slow line.
const ROOM: usize = 512;

fn pin_of(identity: &Identity) -> Trust {
    identity.fingerprint().parse().unwrap()
}

/// Connects; both ends, if they agreed.
async fn meet(
    identity: &Identity,
    host: &str,
    trust: &Trust,
) -> Result<(ClientStream<DuplexStream>, ServerStream<DuplexStream>), ConnectError> {
    let (ours, theirs) = tokio::io::duplex(ROOM);
    let (client, server) = tokio::join!(connect(ours, host, trust), identity.accept(theirs));
    client.map(|client| (client, server.unwrap()))
}

/// An authority, and what it is known by.
fn authority(name: &str) -> (CertifiedIssuer<'static, KeyPair>, RootCertStore) {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(DnType::CommonName, name);
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(authority.der().clone()).unwrap();
    (authority, roots)
}

/// A certificate of this authority, written where it is read from; its files.
fn issued(
    by: &CertifiedIssuer<'_, KeyPair>,
    folder: &Path,
    change: impl FnOnce(&mut CertificateParams),
) -> (PathBuf, PathBuf) {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(vec!["photos.example".to_owned()]).unwrap();
    params.is_ca = IsCa::ExplicitNoCa;
    change(&mut params);
    let certificate = params.signed_by(&key, by).unwrap();
    let paths = (folder.join("given.pem"), folder.join("given.key"));
    fs::write(&paths.0, certificate.pem() + &by.pem()).unwrap();
    fs::write(&paths.1, key.serialize_pem()).unwrap();
    paths
}

#[tokio::test]
async fn the_pinned_server_is_known_by_its_key_whatever_it_is_called() {
    let folder = tempfile::tempdir().unwrap();
    let identity = Identity::own(folder.path(), None).unwrap();
    for host in ["localhost", "10.0.0.7", "fd00::7", "photos.example", "my_host", "a b", ""] {
        let (mut client, mut server) = meet(&identity, host, &identity.trust()).await.unwrap();
        client.write_all(b"hello").await.unwrap();
        client.flush().await.unwrap();
        let mut said = [0; 5];
        server.read_exact(&mut said).await.unwrap();
        assert_eq!(&said, b"hello", "{host}");
        let version = server.get_ref().1.protocol_version();
        assert_eq!(version, Some(rustls::ProtocolVersion::TLSv1_3));
    }
}

#[tokio::test]
async fn another_key_is_told_and_nothing_is_sent() {
    let (folder, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let identity = Identity::own(folder.path(), None).unwrap();
    let other = Identity::own(other.path(), None).unwrap();
    let (ours, theirs) = tokio::io::duplex(ROOM);
    let wanted = other.trust();
    let (client, server) =
        tokio::join!(connect(ours, "localhost", &wanted), identity.accept(theirs));
    assert!(server.is_err(), "the server sees no session at all");
    let error = client.unwrap_err();
    let ConnectError::Pin { expected, found } = &error else { panic!("{error:?}") };
    assert_eq!((Trust::Pin(*expected), Trust::Pin(*found)), (wanted, pin_of(&identity)));
    assert!(error.is_permanent() && error.hint().is_some());
    assert!(error.to_string().contains(&identity.fingerprint()), "{error}");
}

#[tokio::test]
async fn a_certificate_without_its_key_proves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let identity = Identity::own(folder.path(), None).unwrap();
    // The right certificate, which everybody sees, in the hands of somebody with another key.
    let certificate =
        rustls::pki_types::CertificateDer::from_pem_file(folder.path().join("cert.pem"));
    let key = PrivateKeyDer::try_from(KeyPair::generate().unwrap().serialize_der()).unwrap();
    let key = provider().key_provider.load_private_key(key).unwrap();
    let stolen = CertifiedKey::new(vec![certificate.unwrap()], key);
    let config = rustls::ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(SingleCertAndKey::from(stolen)));
    let thief = TlsAcceptor::from(Arc::new(config));
    let (ours, theirs) = tokio::io::duplex(ROOM);
    let wanted = identity.trust();
    let (client, _) = tokio::join!(connect(ours, "localhost", &wanted), thief.accept(theirs));
    let error = client.unwrap_err();
    assert!(matches!(error, ConnectError::Certificate(_)), "{error:?}");
}

#[tokio::test]
async fn what_authorities_say_is_looked_at() {
    let (known, roots) = authority("known");
    let (unknown, _) = authority("unknown");
    let (forged, _) = authority("known");
    let folder = tempfile::tempdir().unwrap();
    let verifier = trust::by_authorities(roots).unwrap();
    let shake = async |files: (PathBuf, PathBuf), host: &str| {
        let identity = Identity::files(&files.0, &files.1, None).unwrap();
        let (ours, theirs) = tokio::io::duplex(ROOM);
        let name = ServerName::try_from(host.to_owned()).unwrap();
        let client = shake_hands(ours, name, verifier.clone());
        let (client, server) = tokio::join!(client, identity.accept(theirs));
        assert_eq!(client.is_ok(), server.is_ok(), "before anything is sent");
        client.map(drop)
    };
    let good = issued(&known, folder.path(), |_| {});
    shake(good, "photos.example").await.unwrap();
    type Change = fn(&mut CertificateParams);
    let nothing: Change = |_| {};
    let faults: [(_, Change, _, _); 6] = [
        (&forged, nothing, "photos.example", "it was not issued by whom it names"),
        (&known, nothing, "other.example", "it is not for `other.example`, but for photos.example"),
        (&unknown, nothing, "photos.example", "no certificate authority that this system knows"),
        (
            &known,
            |params| params.not_after = rcgen::date_time_ymd(2020, 2, 29),
            "photos.example",
            "it expired on 2020-02-29",
        ),
        (
            &known,
            |params| params.not_before = rcgen::date_time_ymd(4000, 1, 1),
            "photos.example",
            "it is not valid before 4000-01-01",
        ),
        (
            &known,
            |params| params.subject_alt_names.clear(),
            "photos.example",
            "but for no name at all",
        ),
    ];
    for (by, change, host, says) in faults {
        let error = shake(issued(by, folder.path(), change), host).await.unwrap_err();
        assert!(matches!(&error, ConnectError::Certificate(why) if why.contains(says)), "{error}");
        assert!(error.is_permanent() && error.hint().is_some());
    }
}

#[tokio::test]
async fn what_speaks_no_tls_is_said_so() {
    let (ours, mut theirs) = tokio::io::duplex(ROOM);
    let answer = async {
        theirs.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
        let mut all = Vec::new();
        let _ = theirs.read_to_end(&mut all).await;
        assert_eq!(all.first(), Some(&FIRST_BYTE));
    };
    let pin = Trust::Pin([7; 32]);
    let client = async { connect(ours, "localhost", &pin).await.map(drop).unwrap_err() };
    let (error, ()) = tokio::join!(client, answer);
    assert!(matches!(error, ConnectError::NoTls(_)) && !error.is_permanent(), "{error:?}");
    let (ours, theirs) = tokio::io::duplex(ROOM);
    drop(theirs);
    let error = connect(ours, "localhost", &pin).await.map(drop).unwrap_err();
    assert!(matches!(error, ConnectError::Io(_)), "{error:?}");
}

#[test]
fn the_own_key_is_made_once() {
    let folder = tempfile::tempdir().unwrap();
    let tls = folder.path().join("data/tls");
    let (key, certificate) = (tls.join("key.pem"), tls.join("cert.pem"));
    let first = Identity::own(&tls, None).unwrap();
    let shown = fs::read(&certificate).unwrap();
    assert_eq!(first.trust(), pin_of(&first));
    assert_eq!(Identity::own(&tls, None).unwrap().trust(), first.trust());
    assert_eq!(fs::read(&certificate).unwrap(), shown, "kept for browsers that were told of it");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&tls), mode(&key)), (0o700, 0o600));
        fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
        Identity::own(&tls, None).unwrap();
        assert_eq!(mode(&key), 0o600);
    }
    for remake in ["another name", "missing", "broken"] {
        match remake {
            "missing" => fs::remove_file(&certificate).unwrap(),
            "broken" => fs::write(&certificate, "-----BEGIN").unwrap(),
            _ => {}
        }
        let again = Identity::own(&tls, Some("photos.example")).unwrap();
        assert_eq!(again.trust(), first.trust(), "{remake}");
        assert_ne!(fs::read(&certificate).unwrap(), shown, "{remake}");
    }
}

#[test]
fn a_key_that_is_lost_is_not_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let key = folder.path().join("key.pem");
    Identity::own(folder.path(), None).unwrap();
    fs::write(&key, "what a disk left of it").unwrap();
    for public_host in [None, Some("photos.example")] {
        let refusal = Identity::own(folder.path(), public_host).unwrap_err();
        assert_eq!(refusal.code, ErrorCode::FileError);
        assert!(refusal.hint.as_deref().unwrap().contains("from a backup"), "{refusal}");
        assert!(!refusal.message.contains("disk"), "it quotes nothing: {refusal}");
    }
    assert_eq!(fs::read(&key).unwrap(), b"what a disk left of it");
    fs::remove_file(&key).unwrap();
    let refusal = Identity::own(folder.path(), None).unwrap_err();
    assert!(refusal.message.contains("`key.pem` is missing"), "{refusal}");
    assert!(!key.exists());
}

#[test]
fn given_files_must_fit() {
    let (authority, _) = authority("known");
    let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (certificate, key) = issued(&authority, one.path(), |_| {});
    let (_, strange) = issued(&authority, other.path(), |_| {});
    let says = |certificate: &Path, key: &Path| {
        Identity::files(certificate, key, None).unwrap_err().message
    };
    assert!(Identity::files(&certificate, &key, None).is_ok());
    assert!(says(&certificate, &strange).contains("do not work"));
    assert!(says(&key, &key).contains("there is no certificate in"));
    assert!(says(&certificate, &certificate).contains("there is no private key in"));
    assert!(says(Path::new("/nonexistent"), &key).contains("cannot read `/nonexistent`"));
    fs::write(&certificate, vec![b'\n'; 300 * 1024]).unwrap();
    assert!(says(&certificate, &key).contains("too large"));
}

#[tokio::test(start_paused = true)]
async fn changed_files_are_taken_into_use_while_clients_come() {
    let (authority, _) = authority("known");
    let (live, next) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (certificate, key) = issued(&authority, live.path(), |_| {});
    let identity = Identity::files(&certificate, &key, None).unwrap();
    let first = identity.trust();
    let (mut client, mut server) = meet(&identity, "photos.example", &first).await.unwrap();

    let (new_certificate, new_key) = issued(&authority, next.path(), |_| {});
    // Renewing programs do not change both at once.
    fs::rename(new_certificate, &certificate).unwrap();
    advance(Duration::from_secs(2)).await;
    for _ in 0..20 {
        meet(&identity, "photos.example", &first).await.unwrap();
    }
    fs::rename(new_key, &key).unwrap();
    meet(&identity, "photos.example", &first).await.expect("it is looked at once a second");
    advance(Duration::from_secs(2)).await;
    let _ = meet(&identity, "photos.example", &first).await;
    let second = identity.trust();
    assert_ne!(second, first);
    for _ in 0..20 {
        meet(&identity, "photos.example", &second).await.unwrap();
    }

    client.write_all(b"still here").await.unwrap();
    client.flush().await.unwrap();
    let mut said = [0; 10];
    server.read_exact(&mut said).await.unwrap();

    fs::remove_file(&key).unwrap();
    advance(Duration::from_secs(2)).await;
    meet(&identity, "photos.example", &second).await.expect("the former stays in use");
}

/// What stands in the environment of a process whose system has these authorities alone.
const INNER: &str = "IMGREPO_TEST_AUTHORITIES";

#[tokio::test]
async fn the_systems_authorities_know_a_server_by_its_name() {
    if let Some(folder) = std::env::var_os(INNER) {
        return by_the_systems_authorities(Path::new(&folder)).await;
    }
    let folder = tempfile::tempdir().unwrap();
    let (authority, _) = authority("known");
    issued(&authority, folder.path(), |_| {});
    fs::write(folder.path().join("roots.pem"), authority.pem()).unwrap();
    let done = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "tls::tests::the_systems_authorities_know_a_server_by_its_name"])
        .env(INNER, folder.path())
        .env("SSL_CERT_FILE", folder.path().join("roots.pem"))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&done.stdout);
    assert!(done.status.success() && said.contains("1 passed"), "{said}");
}

async fn by_the_systems_authorities(folder: &Path) {
    let (certificate, key) = (folder.join("given.pem"), folder.join("given.key"));
    let named = |host| Identity::files(&certificate, &key, host).unwrap();
    let identity = named(Some("photos.example"));
    assert_eq!(identity.trust(), Trust::Authorities);
    assert!(matches!(named(Some("other.example")).trust(), Trust::Pin(_)));
    assert!(matches!(named(None).trust(), Trust::Pin(_)));
    for host in ["photos.example", "Photos.Example", "photos.example."] {
        meet(&identity, host, &Trust::Authorities).await.unwrap();
    }
    for host in ["other.example", "10.0.0.7", "a b"] {
        let error = meet(&identity, host, &Trust::Authorities).await.map(drop);
        assert!(matches!(error, Err(ConnectError::Certificate(_))), "{host}: {error:?}");
    }
}
