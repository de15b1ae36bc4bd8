//! The commands of v2 without their arguments: the one list of them, with the word of each. What they
//! carry is [`super::command`]'s; who may give which is the server's to say, command by command.

/// A command without its arguments.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CommandKind {
    /// See [`super::Command::Auth`].
    Auth,
    /// See [`super::Command::Upload`].
    Upload,
    /// See [`super::Command::List`].
    List,
    /// See [`super::Command::Info`].
    Info,
    /// See [`super::Command::Have`].
    Have,
    /// See [`super::Command::Lost`].
    Lost,
    /// See [`super::Command::Download`].
    Download,
    /// See [`super::Command::View`].
    View,
    /// See [`super::Command::Exif`].
    Exif,
    /// See [`super::Command::Ack`].
    Ack,
    /// See [`super::Command::Cancel`].
    Cancel,
    /// See [`super::Command::Rename`].
    Rename,
    /// See [`super::Command::Delete`].
    Delete,
    /// See [`super::Command::Restore`].
    Restore,
    /// See [`super::Command::Purge`].
    Purge,
    /// See [`super::Command::Events`].
    Events,
    /// See [`super::Command::Join`].
    Join,
    /// See [`super::Command::Invite`].
    Invite,
    /// See [`super::Command::Invitations`].
    Invitations,
    /// See [`super::Command::Uninvite`].
    Uninvite,
    /// See [`super::Command::People`].
    People,
    /// See [`super::Command::Role`].
    Role,
    /// See [`super::Command::Disable`].
    Disable,
    /// See [`super::Command::Devices`].
    Devices,
    /// See [`super::Command::Revoke`].
    Revoke,
    /// See [`super::Command::Audit`].
    Audit,
    /// See [`super::Command::Disconnect`].
    Disconnect,
}

impl CommandKind {
    /// All of them.
    pub const ALL: [CommandKind; 27] = [
        CommandKind::Auth,
        CommandKind::Upload,
        CommandKind::List,
        CommandKind::Info,
        CommandKind::Have,
        CommandKind::Lost,
        CommandKind::Download,
        CommandKind::View,
        CommandKind::Exif,
        CommandKind::Ack,
        CommandKind::Cancel,
        CommandKind::Rename,
        CommandKind::Delete,
        CommandKind::Restore,
        CommandKind::Purge,
        CommandKind::Events,
        CommandKind::Join,
        CommandKind::Invite,
        CommandKind::Invitations,
        CommandKind::Uninvite,
        CommandKind::People,
        CommandKind::Role,
        CommandKind::Disable,
        CommandKind::Devices,
        CommandKind::Revoke,
        CommandKind::Audit,
        CommandKind::Disconnect,
    ];

    /// Its word on the wire.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            CommandKind::Auth => "AUTH",
            CommandKind::Upload => "UPLOAD",
            CommandKind::List => "LIST",
            CommandKind::Info => "INFO",
            CommandKind::Have => "HAVE",
            CommandKind::Lost => "LOST",
            CommandKind::Download => "DOWNLOAD",
            CommandKind::View => "VIEW",
            CommandKind::Exif => "EXIF",
            CommandKind::Ack => "ACK",
            CommandKind::Cancel => "CANCEL",
            CommandKind::Rename => "RENAME",
            CommandKind::Delete => "DELETE",
            CommandKind::Restore => "RESTORE",
            CommandKind::Purge => "PURGE",
            CommandKind::Events => "EVENTS",
            CommandKind::Join => "JOIN",
            CommandKind::Invite => "INVITE",
            CommandKind::Invitations => "INVITATIONS",
            CommandKind::Uninvite => "UNINVITE",
            CommandKind::People => "PEOPLE",
            CommandKind::Role => "ROLE",
            CommandKind::Disable => "DISABLE",
            CommandKind::Devices => "DEVICES",
            CommandKind::Revoke => "REVOKE",
            CommandKind::Audit => "AUDIT",
            CommandKind::Disconnect => "DISCONNECT",
        }
    }
}
