//! Who may do what: the one function that decides it, and its table. Called by the repository before
//! every change and every answer; nothing else decides. It reads nothing: the role is the actor's, whose
//! the object is comes from the caller.

use std::fmt::Display;

use imgrepo_proto::session::command::CommandKind;
use imgrepo_proto::{ErrorCode, Refusal};

use super::{Actor, Role};
use crate::repository::catalog::PersonId;

/// What is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Action {
    /// A page of records or events, or one record.
    List,
    /// A content.
    Download,
    /// A new image.
    Upload,
    /// Another name for an image.
    Rename,
    /// An image to the trash.
    Delete,
    /// An image out of the trash.
    Restore,
    /// An image out of the trash and away.
    Purge,
    /// To see an image that is in the trash.
    SeeTrash,
    /// A new invitation: for anybody, or for a further device of somebody.
    Invite,
    /// To see invitations: all, or those that somebody made.
    Invitations,
    /// To take back an invitation that somebody made.
    Uninvite,
    /// To see the people.
    People,
    /// Another role for somebody.
    Role,
    /// To let somebody in no more, or again.
    Disable,
    /// To see somebody's devices.
    Devices,
    /// To let in a device of somebody no more.
    Revoke,
    /// To read the record of what was done.
    Audit,
    /// To read the figures of the server.
    Metrics,
}

/// To what it is asked.
#[derive(Clone, Copy)]
pub enum Object<'a> {
    /// None in particular: all of them.
    Any,
    /// Something of this person's, with what it is called in a refusal.
    Of(PersonId, &'a dyn Display),
    /// Something that is not there: refused in the words of what is another's, so that nobody learns
    /// by a refusal what there is.
    Missing(&'a dyn Display),
}

impl Action {
    /// What a command asks; None where everybody may who is let in, or before.
    #[must_use]
    pub fn of(command: CommandKind) -> Option<Action> {
        Some(match command {
            CommandKind::Auth
            | CommandKind::Join
            | CommandKind::Ack
            | CommandKind::Cancel
            | CommandKind::Disconnect => return None,
            CommandKind::List | CommandKind::Info | CommandKind::Have | CommandKind::Events => {
                Action::List
            }
            CommandKind::Download | CommandKind::View | CommandKind::Exif => Action::Download,
            // Only who may upload can bring anything back.
            CommandKind::Upload | CommandKind::Lost => Action::Upload,
            CommandKind::Rename => Action::Rename,
            CommandKind::Delete => Action::Delete,
            CommandKind::Restore => Action::Restore,
            CommandKind::Purge => Action::Purge,
            CommandKind::Invite => Action::Invite,
            CommandKind::Invitations => Action::Invitations,
            CommandKind::Uninvite => Action::Uninvite,
            CommandKind::People => Action::People,
            CommandKind::Role => Action::Role,
            CommandKind::Disable => Action::Disable,
            CommandKind::Devices => Action::Devices,
            CommandKind::Revoke => Action::Revoke,
            CommandKind::Audit => Action::Audit,
        })
    }

    fn verb(self) -> &'static str {
        match self {
            Action::List => "list",
            Action::Download => "download",
            Action::Upload => "upload",
            Action::Rename => "rename",
            Action::Delete => "delete",
            Action::Restore => "restore",
            Action::Purge => "purge",
            Action::SeeTrash => "see",
            Action::Invite => "invite",
            Action::Invitations => "list",
            Action::Uninvite => "take back",
            Action::People => "list",
            Action::Role => "change",
            Action::Disable => "disable or enable",
            Action::Devices => "list",
            Action::Revoke => "revoke",
            Action::Audit | Action::Metrics => "read",
        }
    }

    /// What it is asked of where of none in particular.
    fn all(self) -> &'static str {
        match self {
            Action::Invite => "anybody",
            Action::Invitations | Action::Uninvite => "the invitations",
            Action::People => "the people",
            Action::Role => "anybody's role",
            Action::Disable => "anybody",
            Action::Devices | Action::Revoke => "everybody's devices",
            Action::Audit => "the record",
            Action::Metrics => "the figures",
            Action::SeeTrash => "everybody's trash",
            _ => "images",
        }
    }
}

/// Who may, at least.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Needs {
    /// Everybody who is let in.
    Anyone,
    /// Who may upload.
    Uploader,
    /// Whose it is, if they may upload; else an admin.
    OwnUpload,
    /// Whose it is, if they have an account; else an admin.
    OwnAccount,
    /// An admin.
    Admin,
}

impl Action {
    fn needs(self) -> Needs {
        match self {
            Action::List | Action::Download => Needs::Anyone,
            Action::Upload => Needs::Uploader,
            Action::Rename
            | Action::Delete
            | Action::Restore
            | Action::Purge
            | Action::SeeTrash => Needs::OwnUpload,
            Action::Invite
            | Action::Invitations
            | Action::Uninvite
            | Action::Devices
            | Action::Revoke => Needs::OwnAccount,
            Action::People | Action::Role | Action::Disable | Action::Audit | Action::Metrics => {
                Needs::Admin
            }
        }
    }
}

/// Whether this person may do this to this object.
///
/// # Errors
/// `denied`, which says who may.
pub fn authorize(actor: &Actor, action: Action, object: Object<'_>) -> Result<(), Refusal> {
    let (is_admin, has_account, uploads) = match actor.role {
        Role::Owner | Role::Admin => (true, true, true),
        Role::Member => (false, true, true),
        Role::Viewer => (false, true, false),
        Role::Guest { may_upload } => (false, false, may_upload),
    };
    let is_own = matches!(object, Object::Of(person, _) if person == actor.person);
    let needs = action.needs();
    let may = match needs {
        Needs::Anyone => true,
        Needs::Uploader => uploads,
        Needs::OwnUpload => is_admin || uploads && is_own,
        Needs::OwnAccount => is_admin || has_account && is_own,
        Needs::Admin => is_admin,
    };
    if may {
        return Ok(());
    }
    let act = match object {
        Object::Any => format!("cannot {} {}", action.verb(), action.all()),
        Object::Of(_, name) | Object::Missing(name) => format!("cannot {} {name}", action.verb()),
    };
    let denied = |why: &str, hint: &str| {
        Err(Refusal::new(ErrorCode::Denied, format!("{act}: {why}")).hint(hint))
    };
    let role = actor.role.word();
    match needs {
        Needs::OwnUpload if uploads && !matches!(object, Object::Any) => {
            denied("it is another person's image", "its uploader and the repository's admins may")
        }
        Needs::Anyone | Needs::Uploader | Needs::OwnUpload if !uploads => denied(
            &format!("you are a {role} here, who looks and downloads"),
            match has_account {
                true => "members and admins may; ask an admin for that role",
                false => "members and admins may; ask an admin for an invitation",
            },
        ),
        Needs::OwnAccount if has_account && !matches!(object, Object::Any) => {
            denied("it is not yours", "whose it is and the repository's admins may")
        }
        Needs::OwnAccount if !has_account => denied(
            "you are a guest here, without an account",
            "whoever was invited may; ask an admin for an invitation",
        ),
        _ => denied(&format!("you are a {role} here"), "the repository's admins may"),
    }
}

#[cfg(test)]
#[path = "authorize_tests.rs"]
mod tests;
