//! Connections from any address of the loopback, and people who were let in.

use std::net::{Ipv4Addr, SocketAddr};

use imgrepo_proto::Secret;
use imgrepo_proto::session::people::{AccountRole, DeviceKind, Invite, Join};
use imgrepod::repository::Repository;
use serde_json::{Value, json};
use tokio::net::{TcpSocket, TcpStream};
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;

use crate::support::{Client, upgrade};

/// The address of this number: each of 65,536 another one of this computer.
pub(crate) fn address(number: usize) -> Ipv4Addr {
    let [high, low] = u16::try_from(number % 65_536).unwrap().to_be_bytes();
    Ipv4Addr::new(127, 77, high, low)
}

/// A connection from there, of which nothing was said yet.
pub(crate) async fn connect(from: Ipv4Addr, to: SocketAddr) -> std::io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.bind((from, 0).into())?;
    socket.connect(to).await
}

/// A v2 session from there, before AUTH; None where the server has no place for it.
pub(crate) async fn visit(from: Ipv4Addr, to: SocketAddr) -> Option<Client<TcpStream>> {
    let mut request = format!("ws://{to}/").into_client_request().unwrap();
    request.headers_mut().insert("sec-websocket-protocol", "imgrepo.v2".parse().unwrap());
    upgrade(request, connect(from, to).await.ok()?).await.ok()
}

/// An account with this role, and the credential of its device.
pub(crate) async fn account(repository: &Repository, user: &str, role: AccountRole) -> String {
    let secret = invitation(repository, role).await;
    let join = Join { secret, user: Some(user.to_owned()), device: "laptop".into(), client: None };
    let (reply, _) = repository.join(&join, DeviceKind::Program, "127.0.0.1").await.unwrap();
    reply.credential.expose().to_owned()
}

/// What lets somebody in.
pub(crate) async fn invitation(repository: &Repository, role: AccountRole) -> Secret {
    let invite = Invite { role: Some(role), ..Invite::default() };
    repository.invite(&repository.owner(), &invite).await.unwrap().1
}

/// The arguments of AUTH.
pub(crate) fn auth(user: &str, credential: &str) -> Value {
    json!({"user": user, "credential": credential})
}
