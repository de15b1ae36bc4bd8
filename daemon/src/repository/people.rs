//! Who acts, and what they may do: one table. Called by the repository before every change and
//! every answer, and by the server, which tells a person what they can; nothing else decides.

use imgrepo_proto::{ErrorCode, PersonName, Refusal};

use super::catalog::PersonId;

/// What a person is in a repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// Runs the server.
    Owner,
    /// Is let in without proof of who it is.
    Guest,
}

impl Role {
    /// Its word on the wire.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Role::Owner => "owner",
            Role::Guest => "guest",
        }
    }

    /// What it may do, in the words of the wire.
    #[must_use]
    pub fn can(self) -> Vec<String> {
        let words: &[&str] = match self {
            Role::Owner => &["list", "download", "upload", "change_own", "change_all"],
            Role::Guest => &["list", "download", "upload", "change_own"],
        };
        words.iter().map(|word| (*word).to_owned()).collect()
    }
}

/// A person who asks for something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Actor {
    /// Who.
    pub person: PersonId,
    /// Under which name.
    pub name: PersonName,
    /// As what.
    pub role: Role,
}

/// What is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Action {
    /// A page of records, or one.
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
}

impl Action {
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
        }
    }
}

/// Whether this person may do this to an image of `whose` (None: to none in particular); `object`
/// names it in the refusal.
///
/// # Errors
/// `denied`.
pub fn authorize(
    actor: &Actor,
    action: Action,
    whose: Option<PersonId>,
    object: &dyn std::fmt::Display,
) -> Result<(), Refusal> {
    let own = whose.is_none_or(|person| person == actor.person);
    let may = match (actor.role, action) {
        (Role::Owner, _) | (Role::Guest, Action::List | Action::Download | Action::Upload) => true,
        (
            Role::Guest,
            Action::Rename | Action::Delete | Action::Restore | Action::Purge | Action::SeeTrash,
        ) => own,
    };
    if may {
        return Ok(());
    }
    Err(Refusal::new(
        ErrorCode::Denied,
        format!("cannot {} {object}: it is another person's image", action.verb()),
    )
    .hint("its uploader and the repository's owner may"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guest_changes_their_own_and_the_owner_all() {
        let actor = |id, role| Actor { person: PersonId(id), name: PersonName::anon(), role };
        let changes =
            [Action::Rename, Action::Delete, Action::Restore, Action::Purge, Action::SeeTrash];
        for action in changes {
            let may = |actor: &Actor, whose| authorize(actor, action, whose, &"it").is_ok();
            assert!(may(&actor(1, Role::Guest), Some(PersonId(1))), "{action:?}");
            assert!(!may(&actor(1, Role::Guest), Some(PersonId(2))), "{action:?}");
            assert!(may(&actor(1, Role::Owner), Some(PersonId(2))), "{action:?}");
        }
        for action in [Action::List, Action::Download, Action::Upload] {
            let guest = actor(1, Role::Guest);
            assert!(authorize(&guest, action, Some(PersonId(2)), &"it").is_ok());
        }
        let refusal =
            authorize(&actor(1, Role::Guest), Action::Delete, Some(PersonId(2)), &"image 7")
                .unwrap_err();
        assert_eq!(refusal.code, ErrorCode::Denied);
        assert!(refusal.message.contains("delete image 7"), "{}", refusal.message);
    }
}
