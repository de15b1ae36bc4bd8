//! A server with people: those who were invited, with what they got.

use imgrepo_proto::invitation::Link;
use imgrepo_proto::session::people::InviteReply;
use imgrepod::server::Settings;
use imgrepod::tls::Identity;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpStream;

use crate::support::{Client, Stage};

/// The server.
pub(crate) struct Club {
    pub(crate) stage: Stage,
    _folder: TempDir,
}

/// A device that was let in.
#[derive(Debug, Clone)]
pub(crate) struct Held {
    pub(crate) user: String,
    pub(crate) credential: String,
    pub(crate) device: u64,
}

impl Club {
    pub(crate) async fn new() -> Club {
        Club::with(|_| {}).await
    }

    pub(crate) async fn with(change: impl FnOnce(&mut Settings)) -> Club {
        let folder = tempfile::tempdir().unwrap();
        let identity = Identity::own(folder.path(), None).unwrap();
        let stage = Stage::with(|settings| {
            settings.identity = Some(identity);
            change(settings);
        });
        Club { stage: stage.await, _folder: folder }
    }

    /// One that makes pictures.
    pub(crate) async fn making(change: impl FnOnce(&mut Settings)) -> Club {
        let folder = tempfile::tempdir().unwrap();
        let identity = Identity::own(folder.path(), None).unwrap();
        let stage = Stage::making(|settings| {
            settings.identity = Some(identity);
            change(settings);
        });
        Club { stage: stage.await, _folder: folder }
    }

    /// The owner invites: the invitation's number, and what lets in by it.
    pub(crate) async fn invite(&self, args: Value) -> (u64, String) {
        let reply = self.stage.owner().await.ok("INVITE", args).await;
        let reply: InviteReply = serde_json::from_value(reply).unwrap();
        let link: Link = reply.link.expose().parse().unwrap();
        (reply.invitation.id.0, link.secret.expose().to_owned())
    }

    /// Somebody joins, invited with this role.
    pub(crate) async fn join(&self, user: &str, role: &str) -> Held {
        let (_, secret) = self.invite(json!({"role": role})).await;
        let mut client = self.stage.stranger().await;
        let args = json!({"secret": secret, "user": user, "device": "laptop"});
        Held::of(&client.ok("JOIN", args).await)
    }

    /// A session of a device.
    pub(crate) async fn session(&self, held: &Held) -> Client<TcpStream> {
        let mut client = self.stage.stranger().await;
        client.ok("AUTH", held.auth()).await;
        client
    }
}

impl Held {
    pub(crate) fn of(reply: &Value) -> Held {
        Held {
            user: reply["user"].as_str().unwrap().to_owned(),
            credential: reply["credential"].as_str().unwrap().to_owned(),
            device: reply["device"].as_u64().unwrap(),
        }
    }

    /// The arguments of AUTH.
    pub(crate) fn auth(&self) -> Value {
        json!({"user": self.user, "credential": self.credential})
    }
}
