//! `imgctl people ls|role|disable|enable`: who is in the repository, and what they may do.

use imgrepo_proto::control::people::{PeopleOutcome, PeopleRequest};
use imgrepo_proto::name::shown;
use imgrepo_proto::session::command::{Disable, People, SetRole};
use imgrepo_proto::session::people::{Person, PersonKind, PersonReply};
use serde::Serialize;

use crate::cli;
use crate::context::Context;
use crate::failure::Failure;
use crate::listing::Cells;
use crate::people::{article, ask};
use crate::table::{self, Align};

/// `{"v":1,"people":[...]}`.
#[derive(Serialize)]
struct Document {
    people: Vec<Person>,
}

/// Carries out one of them.
pub(crate) fn run(context: &Context, args: cli::People) -> Result<(), Failure> {
    match args {
        cli::People::Ls => ls(context),
        cli::People::Role { person, role } => {
            let act = format!("change what `{person}` may do");
            let request = PeopleRequest::Role(SetRole { person, role });
            change(context, &act, request, &format!("is {} now", article(role.word())))
        }
        cli::People::Disable { person } => {
            let act = format!("let `{person}` in no more");
            let request = PeopleRequest::Disable(Disable { person, disabled: true });
            change(context, &act, request, "is let in no more")
        }
        cli::People::Enable { person } => {
            let act = format!("let `{person}` in again");
            let request = PeopleRequest::Disable(Disable { person, disabled: false });
            change(context, &act, request, "is let in again")
        }
    }
}

fn change(context: &Context, act: &str, request: PeopleRequest, now: &str) -> Result<(), Failure> {
    let reply: PersonReply = ask(context, act, request, |outcome| match outcome {
        PeopleOutcome::Person(reply) => Some(reply),
        _ => None,
    })?;
    if context.out.json() {
        return context.out.document(&reply);
    }
    context.out.confirm(&format!("{} {now}", shown(&reply.person.name)));
    Ok(())
}

fn ls(context: &Context) -> Result<(), Failure> {
    let mut people = Vec::new();
    let mut cursor = None;
    loop {
        let request = PeopleRequest::Ls(People { cursor });
        let page = ask(context, "list the people", request, |outcome| match outcome {
            PeopleOutcome::People(page) => Some(page),
            _ => None,
        })?;
        people.extend(page.people);
        match page.next {
            Some(next) => cursor = Some(next),
            None => break,
        }
    }
    if context.out.json() {
        return context.out.document(&Document { people });
    }
    let cells = Cells::of(&context.out);
    let rows = people.iter().map(|person| row(cells, person)).collect();
    let titles = [
        ("NAME", Align::Left),
        ("ROLE", Align::Left),
        ("IMAGES", Align::Right),
        ("SIZE", Align::Right),
        ("DEVICES", Align::Right),
        ("SINCE", Align::Left),
        ("STATE", Align::Left),
    ];
    cells.show(&context.out, (&titles, true), rows)
}

fn row(cells: Cells, person: &Person) -> Vec<String> {
    vec![
        shown(&person.name),
        role(person).to_owned(),
        person.images.to_string(),
        cells.size(person.bytes),
        person.devices.to_string(),
        cells.at(Some(person.since)),
        if person.disabled { "disabled" } else { "open" }.to_owned(),
    ]
}

/// What somebody is: by their account, else by how they came.
fn role(person: &Person) -> &'static str {
    match (person.kind, person.role) {
        (PersonKind::Owner, _) => "owner",
        (PersonKind::Account, Some(role)) => role.word(),
        (PersonKind::Account, None) => table::UNKNOWN,
        (PersonKind::Guest, _) => "guest",
        (PersonKind::Imported, _) => "imported",
    }
}
