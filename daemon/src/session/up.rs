//! A session that is up: the link, what is said over it, and its goodbye. The keeper alone has one.

use imgrepo_proto::control::reply::Transport;

use crate::link::{End, EndKind, Inbox, Incoming, Outbox};

use super::peer::{Dialog, Heard};
use super::{GOODBYE, Session};

/// The close code of RFC 6455 for an end in order.
pub(super) const NORMAL: u16 = 1000;

/// A session that is up.
pub(super) struct Up {
    pub(super) outbox: Outbox,
    pub(super) inbox: Inbox,
    pub(super) dialog: Dialog,
    pub(super) transport: Transport,
}

impl Up {
    /// DISCONNECT, BYE, and the end, within its time.
    pub(super) async fn goodbye(mut self, session: &Session) {
        let bye = match &self.dialog {
            Dialog::V2(v2) => {
                v2.disconnect();
                true
            }
            Dialog::V1(v1) => v1.disconnect(),
        };
        if !bye {
            self.outbox.close(NORMAL, "");
        }
        let farewell = async {
            loop {
                match self.inbox.next().await {
                    Ok(Incoming::Text(text)) => {
                        // The server closes after its BYE; where it does not, we do.
                        if self.dialog.text(&text, session).await == Heard::Bye {
                            self.outbox.close(NORMAL, "");
                        }
                    }
                    Ok(Incoming::Data(_)) => {}
                    Err(end) => return end,
                }
            }
        };
        let end = tokio::time::timeout(GOODBYE, farewell).await.unwrap_or_else(|_| End {
            kind: EndKind::Dropped,
            message: "the server did not say BYE".to_owned(),
        });
        self.dialog.end(&end);
        self.inbox.finish().await;
    }
}

impl Dialog {
    /// A text message of the server.
    pub(super) async fn text(&self, text: &str, session: &Session) -> Heard {
        match self {
            Dialog::V2(v2) => v2.text(text, session.feed()),
            Dialog::V1(v1) => match v1.text(text, session.feed()).await {
                true => Heard::Bye,
                false => Heard::Other,
            },
        }
    }

    pub(super) fn data(&self, bytes: bytes::Bytes) {
        match self {
            Dialog::V2(v2) => v2.data(bytes),
            Dialog::V1(v1) => v1.data(bytes),
        }
    }

    pub(super) fn end(&self, end: &End) {
        match self {
            Dialog::V2(v2) => v2.end(),
            Dialog::V1(v1) => v1.end(end),
        }
    }
}
