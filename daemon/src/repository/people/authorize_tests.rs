//! The table of who may do what: a line for every command. A new command does not compile here
//! without its line.

use imgrepo_proto::PersonName;

use super::*;

const ROLES: [Role; 6] = [
    Role::Owner,
    Role::Admin,
    Role::Member,
    Role::Viewer,
    Role::Guest { may_upload: true },
    Role::Guest { may_upload: false },
];

/// What a role may do with what is its own, another's, and none in particular.
type Line = [&'static str; 6];

/// `o` own, `a` another's, `n` none in particular; in the order of [`ROLES`].
fn expected(command: CommandKind) -> Option<Line> {
    //                         owner  admin  member viewer guest  guest that looks
    const ALL: Line = ["oan", "oan", "oan", "oan", "oan", "oan"];
    const UPLOADS: Line = ["oan", "oan", "oan", "", "oan", ""];
    const CHANGES: Line = ["oan", "oan", "o", "", "o", ""];
    const ACCOUNTS: Line = ["oan", "oan", "o", "o", "", ""];
    const ADMINS: Line = ["oan", "oan", "", "", "", ""];
    match command {
        CommandKind::Auth => None,
        CommandKind::Upload => Some(UPLOADS),
        CommandKind::List => Some(ALL),
        CommandKind::Info => Some(ALL),
        CommandKind::Have => Some(ALL),
        CommandKind::Lost => Some(UPLOADS),
        CommandKind::Download => Some(ALL),
        CommandKind::View => Some(ALL),
        CommandKind::Exif => Some(ALL),
        CommandKind::Ack => None,
        CommandKind::Cancel => None,
        CommandKind::Rename => Some(CHANGES),
        CommandKind::Delete => Some(CHANGES),
        CommandKind::Restore => Some(CHANGES),
        CommandKind::Purge => Some(CHANGES),
        CommandKind::Events => Some(ALL),
        CommandKind::Join => None,
        CommandKind::Invite => Some(ACCOUNTS),
        CommandKind::Invitations => Some(ACCOUNTS),
        CommandKind::Uninvite => Some(ACCOUNTS),
        CommandKind::People => Some(ADMINS),
        CommandKind::Role => Some(ADMINS),
        CommandKind::Disable => Some(ADMINS),
        CommandKind::Devices => Some(ACCOUNTS),
        CommandKind::Revoke => Some(ACCOUNTS),
        CommandKind::Audit => Some(ADMINS),
        CommandKind::Disconnect => None,
    }
}

fn actor(role: Role) -> Actor {
    let name = PersonName::anon();
    Actor { person: PersonId(1), name, role, device: None, from: "local".to_owned() }
}

fn allowed(role: Role, action: Action) -> String {
    let objects = [
        ('o', Object::Of(PersonId(1), &"it")),
        ('a', Object::Of(PersonId(2), &"it")),
        ('n', Object::Any),
    ];
    let may = |(_, object): &(char, Object<'_>)| authorize(&actor(role), action, *object).is_ok();
    objects.into_iter().filter(may).map(|(letter, _)| letter).collect()
}

#[test]
fn every_command_is_decided_for_every_role_and_ownership() {
    for command in CommandKind::ALL {
        let Some(line) = expected(command) else {
            assert_eq!(Action::of(command), None, "{}", command.word());
            continue;
        };
        let action = Action::of(command).unwrap();
        for (role, may) in ROLES.into_iter().zip(line) {
            assert_eq!(allowed(role, action), may, "{} of {role:?}", command.word());
        }
    }
    // What no command asks by itself.
    let trash = ["oan", "oan", "o", "", "o", ""];
    for (role, may) in ROLES.into_iter().zip(trash) {
        assert_eq!(allowed(role, Action::SeeTrash), may, "{role:?}");
    }
}

#[test]
fn a_refusal_says_why_and_who_may() {
    let refused = |role, action, object: Object<'_>| {
        let refusal = authorize(&actor(role), action, object).unwrap_err();
        assert_eq!(refusal.code, ErrorCode::Denied);
        format!("{} ({})", refusal.message, refusal.hint.unwrap())
    };
    let other = Object::Of(PersonId(2), &"image 7");
    assert_eq!(
        refused(Role::Member, Action::Delete, other),
        "cannot delete image 7: it is another person's image (its uploader and the repository's \
         admins may)"
    );
    assert_eq!(
        refused(Role::Viewer, Action::Upload, Object::Any),
        "cannot upload images: you are a viewer here, who looks and downloads (members and admins \
         may; ask an admin for that role)"
    );
    assert_eq!(
        refused(Role::Guest { may_upload: false }, Action::Upload, Object::Any),
        "cannot upload images: you are a guest here, who looks and downloads (members and admins \
         may; ask an admin for an invitation)"
    );
    assert_eq!(
        refused(Role::Guest { may_upload: true }, Action::Devices, Object::Any),
        "cannot list everybody's devices: you are a guest here, without an account (whoever was \
         invited may; ask an admin for an invitation)"
    );
    assert_eq!(
        refused(Role::Member, Action::Invite, Object::Any),
        "cannot invite anybody: you are a member here (the repository's admins may)"
    );
    assert_eq!(
        refused(Role::Viewer, Action::Audit, Object::Any),
        "cannot read the record: you are a viewer here (the repository's admins may)"
    );
    let device = Object::Of(PersonId(2), &"device 3");
    assert_eq!(
        refused(Role::Member, Action::Revoke, device),
        "cannot revoke device 3: it is not yours (whose it is and the repository's admins may)"
    );
}

#[test]
fn what_a_role_can_is_what_it_may() {
    for role in ROLES {
        let may = |action, object| authorize(&actor(role), action, object).is_ok();
        let (own, other) = (Object::Of(PersonId(1), &"it"), Object::Of(PersonId(2), &"it"));
        let can = [
            ("list", may(Action::List, Object::Any)),
            ("download", may(Action::Download, Object::Any)),
            ("upload", may(Action::Upload, Object::Any)),
            ("change_own", may(Action::Delete, own)),
            ("change_all", may(Action::Delete, other)),
            ("people", may(Action::People, Object::Any)),
        ];
        let words: Vec<_> = can.into_iter().filter(|(_, may)| *may).map(|(word, _)| word).collect();
        assert_eq!(role.can(), words, "{role:?}");
    }
}
