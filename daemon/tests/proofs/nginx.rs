//! A real nginx, as the recipe of `SECURITY.md` has it: the page's own block, of which only ports and
//! paths are others, in a directory of its own and on the loopback alone. With it the certificate
//! authority that it and its clients need. No nginx of this system is touched.

use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::pki_types::CertificateDer;

/// How long it may take until it listens.
const PATIENCE: Duration = Duration::from_secs(60);

/// The name that the page has for the server.
pub(crate) const NAME: &str = "photos.example";

/// The page's only block in this language.
pub(crate) fn block(language: &str) -> String {
    let begin = format!("```{language}\n");
    let (_, rest) = include_str!("../../SECURITY.md").split_once(&begin).expect("the page has it");
    let (block, rest) = rest.split_once("\n```\n").expect("it ends");
    assert!(!rest.contains(&begin), "one block alone is tried");
    block.to_owned()
}

/// The same with something else in the one place where this stands.
pub(crate) fn with(text: &str, from: &str, to: &str) -> String {
    assert_eq!(text.matches(from).count(), 1, "`{from}` in the page");
    text.replace(from, to)
}

/// A certificate authority, whose word counts for whom its file is given.
pub(crate) struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    file: PathBuf,
}

impl Authority {
    /// Its file is in this directory.
    pub(crate) fn new(directory: &Path, name: &str) -> Authority {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::OrganizationName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key"));
        let issuer = issuer.expect("a certificate");
        let file = directory.join(format!("{name}.pem"));
        std::fs::write(&file, issuer.pem()).expect("room");
        Authority { issuer, file }
    }

    pub(crate) fn root(&self) -> CertificateDer<'static> {
        self.issuer.der().clone()
    }

    /// What makes it the only one of a process.
    pub(crate) fn environment(&self) -> [(&str, &str); 1] {
        [("SSL_CERT_FILE", self.file.to_str().expect("it is text"))]
    }

    /// Writes a certificate for these names, and its key.
    fn certify(&self, names: &[&str], certificate: &Path, key: &Path) {
        let own = KeyPair::generate().expect("a key");
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let params = CertificateParams::new(names).expect("names");
        let signed = params.signed_by(&own, &self.issuer).expect("a certificate");
        std::fs::write(certificate, signed.pem()).expect("room");
        std::fs::write(key, own.serialize_pem()).expect("room");
    }
}

/// A running one; it ends with this value.
pub(crate) struct Nginx {
    child: Child,
    pub(crate) https: u16,
    pub(crate) http: u16,
}

impl Nginx {
    /// The one that `make setup` unpacked, or this system's.
    pub(crate) fn find() -> Option<PathBuf> {
        let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent()?;
        let target = std::env::var_os("CARGO_TARGET_DIR")
            .map_or_else(|| workspace.join("target"), |target| workspace.join(target));
        let path = std::env::var_os("PATH").unwrap_or_default();
        let folders = std::env::split_paths(&path).chain([PathBuf::from("/usr/sbin")]);
        std::iter::once(target.join("nginx/usr/sbin"))
            .chain(folders)
            .map(|folder| folder.join("nginx"))
            .find(|program| program.is_file())
    }

    /// Runs one before the server at this `ADDRESS:PORT`, known as the page's name and `localhost` by
    /// this authority's word.
    pub(crate) fn start(
        program: &Path,
        directory: &Path,
        server: &str,
        authority: &Authority,
    ) -> Nginx {
        let [certificate, key] = ["fullchain.pem", "privkey.pem"].map(|name| directory.join(name));
        authority.certify(&[NAME, "localhost"], &certificate, &key);
        let live = format!("/etc/letsencrypt/live/{NAME}");
        let block = with(&block("nginx"), "127.0.0.1:8765", server);
        let block =
            with(&block, &format!("{live}/fullchain.pem"), &certificate.display().to_string());
        let block = with(&block, &format!("{live}/privkey.pem"), &key.display().to_string());
        // A port that was free may be somebody else's a moment later.
        let running = (0..10).find_map(|_| Nginx::try_start(program, directory, &block));
        running.unwrap_or_else(|| panic!("no port for nginx:\n{}", log(directory)))
    }

    /// None where one of its ports was taken meanwhile.
    fn try_start(program: &Path, directory: &Path, block: &str) -> Option<Nginx> {
        let free = [(); 2].map(|()| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port"));
        let [https, http] = free.map(|listener| listener.local_addr().expect("it has one").port());
        let block = with(block, "listen 443 ssl;", &format!("listen 127.0.0.1:{https} ssl;"));
        let block = with(&block, "listen 80;", &format!("listen 127.0.0.1:{http};"));
        let own = directory.display();
        // One process, in the foreground, that writes nowhere else.
        let all = format!(
            "daemon off;\nmaster_process off;\npid {own}/nginx.pid;\nevents {{}}\nhttp {{\n\
             access_log off;\nclient_body_temp_path {own}/body;\nproxy_temp_path {own}/proxy;\n\
             fastcgi_temp_path {own}/fastcgi;\nuwsgi_temp_path {own}/uwsgi;\n\
             scgi_temp_path {own}/scgi;\n{block}\n}}\n"
        );
        let file = directory.join("nginx.conf");
        std::fs::write(&file, all).expect("room");
        let child = Command::new(program)
            .arg("-e")
            .arg(directory.join("nginx.log"))
            .arg("-c")
            .arg(file)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start {}: {error}", program.display()));
        let mut nginx = Nginx { child, https, http };
        let began = Instant::now();
        while TcpStream::connect((Ipv4Addr::LOCALHOST, https)).is_err() {
            if !nginx.is_running() {
                assert!(log(directory).contains("bind()"), "nginx ended:\n{}", log(directory));
                return None;
            }
            assert!(began.elapsed() < PATIENCE, "it does not listen:\n{}", log(directory));
            std::thread::sleep(Duration::from_millis(10));
        }
        // Somebody else may have taken the port, and answers there.
        nginx.is_running().then_some(nginx)
    }

    pub(crate) fn is_running(&mut self) -> bool {
        self.child.try_wait().expect("it is ours").is_none()
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn log(directory: &Path) -> String {
    std::fs::read_to_string(directory.join("nginx.log")).unwrap_or_default()
}
