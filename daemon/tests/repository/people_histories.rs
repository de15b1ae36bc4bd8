//! Random histories of people against a small model: nobody is let in more often than an invitation
//! says, and never after a device was revoked or its person disabled.

use std::sync::Arc;

use imgrepo_proto::session::people::{AccountRole, Disable, Invite, Revoke, SetRole, Uninvite};
use imgrepo_proto::{RepositoryId, Secret};
use imgrepod::repository::blobs::memory::MemoryBlobs;
use imgrepod::repository::catalog::memory::MemoryCatalog;
use imgrepod::repository::{Actor, Authentication, Repository, Role};
use proptest::prelude::*;

use crate::people::{FROM, join};
use crate::support::settings;

const NAMES: [&str; 4] = ["ana", "bea", "caio", "duda"];

#[derive(Debug, Clone)]
enum Step {
    /// By whom (the owner, or the device of this number): a role, and how often.
    Invite(Option<usize>, AccountRole, u32),
    /// By whom: a further device for this account.
    Further(Option<usize>, usize),
    Uninvite(Option<usize>, usize),
    Join(usize, usize),
    Revoke(Option<usize>, usize),
    Disable(Option<usize>, usize, bool),
    SetRole(Option<usize>, usize, AccountRole),
}

fn step() -> impl Strategy<Value = Step> {
    let by = || prop::option::weighted(0.5, 0..6usize);
    let role = || prop::sample::select(&AccountRole::ALL[..]);
    let name = || 0..NAMES.len();
    prop_oneof![
        3 => (by(), role(), 1..3u32).prop_map(|(by, role, uses)| Step::Invite(by, role, uses)),
        2 => (by(), name()).prop_map(|(by, name)| Step::Further(by, name)),
        1 => (by(), 0..6usize).prop_map(|(by, at)| Step::Uninvite(by, at)),
        5 => (0..6usize, name()).prop_map(|(at, name)| Step::Join(at, name)),
        2 => (by(), 0..6usize).prop_map(|(by, at)| Step::Revoke(by, at)),
        2 => (by(), name(), any::<bool>()).prop_map(|(by, at, is)| Step::Disable(by, at, is)),
        2 => (by(), name(), role()).prop_map(|(by, at, role)| Step::SetRole(by, at, role)),
    ]
}

#[derive(Default)]
struct Model {
    /// Of each name: the account's role and whether it is disabled.
    accounts: [Option<(AccountRole, bool)>; 4],
    invitations: Vec<Invitation>,
    devices: Vec<Device>,
}

struct Invitation {
    secret: Secret,
    id: imgrepo_proto::session::people::InvitationId,
    /// Whose, and by which device it was made; None for the owner.
    by: Option<(usize, usize)>,
    role: AccountRole,
    person: Option<usize>,
    left: u32,
}

struct Device {
    person: usize,
    actor: Actor,
    credential: Secret,
    revoked: bool,
}

/// Who acts in the model: the owner, or an account, an admin or not.
struct Acts {
    account: Option<usize>,
    is_in: bool,
    is_admin: bool,
}

impl Model {
    fn acts(&self, by: Option<usize>) -> Acts {
        let Some(device) = by.and_then(|at| self.devices.get(at)) else {
            return Acts { account: None, is_in: true, is_admin: true };
        };
        let (role, disabled) = self.accounts[device.person].unwrap();
        let is_in = !device.revoked && !disabled;
        let is_admin = is_in && role == AccountRole::Admin;
        Acts { account: Some(device.person), is_in, is_admin }
    }

    fn take_back(&mut self, fits: impl Fn(&Invitation) -> bool) {
        for invitation in self.invitations.iter_mut().filter(|it| fits(it)) {
            invitation.left = 0;
        }
    }
}

async fn run(steps: Vec<Step>) {
    let data = tempfile::tempdir().unwrap();
    let catalog = Arc::new(MemoryCatalog::new(RepositoryId("memory".to_owned())));
    let blobs = Arc::new(MemoryBlobs::new());
    let repository = Repository::with(catalog, blobs, settings(data.path())).unwrap();
    let mut model = Model::default();
    for step in steps {
        let actor = |by: Option<usize>| match by.and_then(|at| model.devices.get(at)) {
            Some(device) => device.actor.clone(),
            None => repository.owner(),
        };
        match step {
            Step::Invite(by, role, uses) => {
                let invite = Invite { role: Some(role), uses: Some(uses), ..Invite::default() };
                let made = repository.invite(&actor(by), &invite).await;
                let acts = model.acts(by);
                assert_eq!(made.is_ok(), acts.is_admin);
                if let Ok((told, secret)) = made {
                    let by = acts.account.zip(by);
                    let (id, left) = (told.id, uses);
                    model.invitations.push(Invitation { secret, id, by, role, person: None, left });
                }
            }
            Step::Further(by, person) => {
                let name = Some(NAMES[person].to_owned());
                let invite = Invite { person: name, ..Invite::default() };
                let made = repository.invite(&actor(by), &invite).await;
                let acts = model.acts(by);
                let may = acts.is_admin || acts.is_in && acts.account == Some(person);
                let is_there = model.accounts[person].is_some_and(|(_, disabled)| !disabled);
                assert_eq!(made.is_ok(), may && is_there);
                if let Ok((told, secret)) = made {
                    let (by, role) = (acts.account.zip(by), AccountRole::Viewer);
                    let (id, person) = (told.id, Some(person));
                    model.invitations.push(Invitation { secret, id, by, role, person, left: 1 });
                }
            }
            Step::Uninvite(by, at) => {
                let Some(id) = model.invitations.get(at).map(|it| it.id) else { continue };
                let done = repository.uninvite(&actor(by), &Uninvite { invitation: id }).await;
                let acts = model.acts(by);
                let made_by = model.invitations[at].by.map(|(account, _)| account);
                let is_own = acts.account.is_some() && acts.account == made_by;
                assert_eq!(done.is_ok(), acts.is_admin || acts.is_in && is_own);
                if done.is_ok() {
                    model.invitations[at].left = 0;
                }
            }
            Step::Join(at, name) => {
                let Some(invitation) = model.invitations.get_mut(at) else { continue };
                let joined = join(&repository, &invitation.secret, Some(NAMES[name])).await;
                let may = invitation.left > 0
                    && match invitation.person {
                        Some(person) => model.accounts[person].is_some_and(|(_, out)| !out),
                        None => model.accounts[name].is_none(),
                    };
                assert_eq!(joined.is_ok(), may);
                if let Ok((reply, actor)) = joined {
                    invitation.left -= 1;
                    let person = invitation.person.unwrap_or(name);
                    assert_eq!(reply.user, NAMES[person]);
                    assert_eq!(reply.device.0, model.devices.len() as u64 + 1);
                    model.accounts[person].get_or_insert((invitation.role, false));
                    let credential = reply.credential;
                    model.devices.push(Device { person, actor, credential, revoked: false });
                }
            }
            Step::Revoke(by, at) => {
                let Some(device) = model.devices.get(at) else { continue };
                let revoke = Revoke { device: device.actor.device.unwrap() };
                let done = repository.revoke(&actor(by), &revoke).await;
                let acts = model.acts(by);
                let is_own = acts.account == Some(device.person);
                assert_eq!(done.is_ok(), acts.is_admin || acts.is_in && is_own);
                if done.is_ok() && !model.devices[at].revoked {
                    model.devices[at].revoked = true;
                    model.take_back(|it| it.by.is_some_and(|(_, device)| device == at));
                }
            }
            Step::Disable(by, person, disabled) => {
                let disable = Disable { person: NAMES[person].to_owned(), disabled };
                let done = repository.disable(&actor(by), &disable).await;
                let acts = model.acts(by);
                let may = acts.is_admin && acts.account != Some(person);
                assert_eq!(done.is_ok(), may && model.accounts[person].is_some());
                if done.is_ok()
                    && let Some((_, out)) = &mut model.accounts[person]
                {
                    let ends = disabled && !*out;
                    *out = disabled;
                    if ends {
                        model.take_back(|it| {
                            it.person == Some(person)
                                || it.by.is_some_and(|(account, _)| account == person)
                        });
                    }
                }
            }
            Step::SetRole(by, person, role) => {
                let set = SetRole { person: NAMES[person].to_owned(), role };
                let done = repository.set_role(&actor(by), &set).await;
                let acts = model.acts(by);
                let may = acts.is_admin && acts.account != Some(person);
                assert_eq!(done.is_ok(), may && model.accounts[person].is_some());
                if done.is_ok()
                    && let Some((before, _)) = &mut model.accounts[person]
                {
                    let changes = *before != role;
                    *before = role;
                    if changes && role != AccountRole::Admin {
                        model.take_back(|it| {
                            it.by.is_some_and(|(account, _)| account == person)
                                && it.person != Some(person)
                        });
                    }
                }
            }
        }
        for device in &model.devices {
            let answer = repository.authenticate(None, &device.credential, FROM).await.unwrap();
            let again = repository.refresh(&device.actor).await.unwrap();
            assert_eq!(answer, again);
            let (role, disabled) = model.accounts[device.person].unwrap();
            match answer {
                Authentication::Known(actor) => {
                    assert!(!device.revoked && !disabled);
                    assert_eq!(actor.role, Role::from(role));
                    assert_eq!(actor.name.as_str(), NAMES[device.person]);
                }
                Authentication::Revoked => assert!(device.revoked),
                Authentication::Disabled => assert!(disabled && !device.revoked),
                Authentication::Unknown => panic!("a device was forgotten"),
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, ..ProptestConfig::default() })]

    #[test]
    fn nobody_is_let_in_whom_the_model_keeps_out(steps in prop::collection::vec(step(), 1..60)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(run(steps));
    }
}
