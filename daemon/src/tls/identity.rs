//! Who the server is: its key and certificate, and the handshake with them. Files that were given
//! are read again when they change, so that a renewal needs no restart and cuts no session.

use std::fmt;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use imgrepo_proto::{ErrorCode, Refusal};
use rustls::ServerConnection;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::Instant;
use tokio_rustls::TlsAcceptor;

use super::pair::{Files, Pair, Stamp};
use super::{BUFFER_BYTES, ServerStream, Trust, own};

/// Between two looks at given files: two calls of the system for any number of handshakes.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// The server's identity. Its clones are the same.
#[derive(Clone)]
pub struct Identity(Arc<Shared>);

struct Shared {
    files: Files,
    public_host: Option<String>,
    now: Mutex<Now>,
}

/// What is in use.
struct Now {
    pair: Pair,
    trust: Trust,
    /// Of the files when they were read, whether or not they could be used; None for those which
    /// only this room changes.
    watched: Option<Stamp>,
    /// When a look at them began.
    looked: Option<Instant>,
    /// Whether it goes on still: a disk that is away holds one thread, not one a second.
    looking: bool,
}

impl Identity {
    /// The server's own key with a certificate that it signs itself, for `public_host` too. Both are
    /// made in this folder at the first start and kept. Blocks.
    ///
    /// # Errors
    /// The folder cannot be used, or the key in it is broken: it is never replaced.
    pub fn own(folder: &Path, public_host: Option<&str>) -> Result<Identity, Refusal> {
        let files = own::make(folder, public_host)?;
        let pair = files.read().map_err(|why| own::lost(folder, &why))?;
        let trust = Trust::Pin(pair.pin);
        Ok(Identity::new(files, public_host, pair, trust, None))
    }

    /// A certificate (with its chain, in PEM) and its key, which are read again when they change.
    /// Blocks.
    ///
    /// # Errors
    /// One cannot be read, or they do not belong together.
    pub fn files(
        certificate: &Path,
        key: &Path,
        public_host: Option<&str>,
    ) -> Result<Identity, Refusal> {
        let files = Files { certificate: certificate.to_owned(), key: key.to_owned() };
        let watched = Some(files.stamp());
        let pair = files.read().map_err(refused)?;
        files.warn_of_readers();
        let trust = pair.trust(public_host);
        Ok(Identity::new(files, public_host, pair, trust, watched))
    }

    fn new(
        files: Files,
        public_host: Option<&str>,
        pair: Pair,
        trust: Trust,
        watched: Option<Stamp>,
    ) -> Identity {
        let now = Mutex::new(Now { pair, trust, watched, looked: None, looking: false });
        Identity(Arc::new(Shared { files, public_host: public_host.map(str::to_owned), now }))
    }

    /// By what an invitation has clients know this server: by name and authorities where they would
    /// have it so, else by its key.
    #[must_use]
    pub fn trust(&self) -> Trust {
        self.0.now().trust.clone()
    }

    /// The pin of the key now in use, as people compare it.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        Trust::Pin(self.0.now().pair.pin).to_string()
    }

    /// The handshake with a client. The caller bounds the time; dropping it gives the connection up.
    ///
    /// # Errors
    /// The client speaks no TLS 1.3, or the connection broke.
    pub async fn accept<S>(&self, stream: S) -> io::Result<ServerStream<S>>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        if self.0.is_due(Instant::now()) {
            let shared = self.0.clone();
            // Reading goes on when the handshake is given up: the next one has it then.
            let look = tokio::task::spawn_blocking(move || shared.look());
            if let Err(error) = look.await {
                tracing::error!(%error, "cannot look at the certificate's files");
            }
        }
        let config = self.0.now().pair.config.clone();
        let bounded = |to: &mut ServerConnection| to.set_buffer_limit(Some(BUFFER_BYTES));
        TlsAcceptor::from(config).accept_with(stream, bounded).await
    }
}

impl Shared {
    fn now(&self) -> MutexGuard<'_, Now> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether it is time to look at the files; said to one, who does it.
    fn is_due(&self, at: Instant) -> bool {
        let mut now = self.now();
        let recently = now.looked.is_some_and(|looked| at.duration_since(looked) < LOOK_EVERY);
        if now.watched.is_none() || now.looking || recently {
            return false;
        }
        (now.looked, now.looking) = (Some(at), true);
        true
    }

    /// Takes changed files into use, if they can be used.
    fn look(&self) {
        let stamp = self.files.stamp();
        let is_same = self.now().watched.as_ref() == Some(&stamp);
        let read = (!is_same).then(|| self.files.read());
        let read =
            read.map(|read| read.map(|pair| (pair.trust(self.public_host.as_deref()), pair)));
        let mut now = self.now();
        now.looking = false;
        now.watched = Some(stamp);
        match read {
            None => {}
            Some(Ok((trust, pair))) => now.take(trust, pair),
            Some(Err(error)) => tracing::warn!("the former certificate stays in use: {error}"),
        }
    }
}

impl Now {
    fn take(&mut self, trust: Trust, pair: Pair) {
        tracing::info!("took the changed certificate into use");
        if pair.pin != self.pair.pin && self.trust != Trust::Authorities {
            tracing::warn!(
                "its key has changed: whoever joined by an invitation until now is stopped by \
                 that, and must be invited anew; renew certificates with the same key, or name \
                 the server by `public_host`"
            );
        }
        (self.pair, self.trust) = (pair, trust);
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Identity({})", self.fingerprint())
    }
}

fn refused(why: String) -> Refusal {
    Refusal::new(ErrorCode::FileError, format!("cannot encrypt connections: {why}"))
}
