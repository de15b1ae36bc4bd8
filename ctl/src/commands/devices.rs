//! `imgctl devices ls|revoke|add`: what holds a credential of a person, and is let in by it.

use imgrepo_proto::control::people::{PeopleOutcome, PeopleRequest};
use imgrepo_proto::name::shown;
use imgrepo_proto::session::command::{Devices, Invite, Revoke};
use imgrepo_proto::session::people::{Device, DeviceId, DeviceKind, DeviceReply, DevicesReply};

use crate::cli::{self, Parcel};
use crate::context::Context;
use crate::failure::Failure;
use crate::listing::Cells;
use crate::people::{self, ask};
use crate::table::Align;

/// Carries out one of them.
pub(crate) fn run(context: &Context, args: cli::Devices) -> Result<(), Failure> {
    match args {
        cli::Devices::Ls { user } => ls(context, user),
        cli::Devices::Revoke { id } => revoke(context, DeviceId(id)),
        cli::Devices::Add { user, parcel } => add(context, user, &parcel),
    }
}

fn ls(context: &Context, person: Option<String>) -> Result<(), Failure> {
    let act = match &person {
        Some(person) => format!("list the devices of `{person}`"),
        None => "list your devices".to_owned(),
    };
    let request = PeopleRequest::Devices(Devices { person });
    let reply: DevicesReply = ask(context, &act, request, |outcome| match outcome {
        PeopleOutcome::Devices(reply) => Some(reply),
        _ => None,
    })?;
    if context.out.json() {
        return context.out.document(&reply);
    }
    if reply.devices.is_empty() {
        context.out.note("there is no device");
    }
    let cells = Cells::of(&context.out);
    let rows = reply.devices.iter().map(|device| row(cells, device)).collect();
    let titles = [
        ("ID", Align::Right),
        ("OF", Align::Left),
        ("KIND", Align::Left),
        ("SINCE", Align::Left),
        ("SEEN", Align::Left),
        ("STATE", Align::Left),
        ("NAME", Align::Left),
    ];
    cells.show(&context.out, (&titles, true), rows)
}

fn row(cells: Cells, device: &Device) -> Vec<String> {
    vec![
        device.id.to_string(),
        shown(&device.person),
        match device.kind {
            DeviceKind::Program => "program",
            DeviceKind::Browser => "browser",
        }
        .to_owned(),
        cells.at(Some(device.since)),
        cells.at(device.seen),
        match (device.revoked, device.this) {
            (Some(_), _) => "revoked",
            (None, true) => "this one",
            (None, false) => "open",
        }
        .to_owned(),
        shown(&device.label),
    ]
}

fn revoke(context: &Context, device: DeviceId) -> Result<(), Failure> {
    let act = format!("revoke device {device}");
    let request = PeopleRequest::Revoke(Revoke { device });
    let reply: DeviceReply = ask(context, &act, request, |outcome| match outcome {
        PeopleOutcome::Device(reply) => Some(reply),
        _ => None,
    })?;
    if context.out.json() {
        return context.out.document(&reply);
    }
    let Device { label, person, this, .. } = &reply.device;
    let of = format!("{} of {}", shown(label), shown(person));
    context.out.confirm(&format!("device {device}, {of}, is let in no more"));
    if *this {
        context
            .out
            .note("it was this one: an invitation or another device of yours lets it in again");
    }
    Ok(())
}

/// A link for one more device of one's own, or of somebody who has none left to ask with.
fn add(context: &Context, person: Option<String>, parcel: &Parcel) -> Result<(), Failure> {
    let act = "let in one more device";
    let person = Some(match person {
        Some(person) => person,
        None => people::own_name(context, act)?,
    });
    let invite = Invite { person, seconds: parcel.expires, ..Invite::default() };
    let reply = people::invite(context, act, invite)?;
    people::hand_over(context, &reply, true, !parcel.no_qr)
}
