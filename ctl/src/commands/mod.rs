//! The verbs, one file each: what it asks of the daemon and how it shows the answer.

mod audit;
mod completions;
mod connect;
mod demo;
mod devices;
mod disconnect;
mod doctor;
mod download;
mod events;
mod info;
mod invite;
mod join;
mod limit;
mod list;
mod login_link;
mod man;
mod people;
mod queue;
mod rename;
mod restore;
mod rm;
pub(crate) mod status;
mod stop;
mod trash;
pub(crate) mod up;
mod upload;
mod verify;
mod view;
mod wait;
mod watch;

use std::sync::Arc;

use imgrepo_proto::control::Request;
use imgrepo_proto::{ImageRecord, ImageRef};
use serde::Serialize;

use crate::cli::Command;
use crate::context::{Context, image_ref, record};
use crate::failure::Failure;
use crate::output::Problem;
use crate::several::{self, Pace, Results};

/// Carries out a command.
pub(crate) fn run(context: &Arc<Context>, command: Command) -> Result<(), Failure> {
    match command {
        Command::Status(args) => status::run(context, &args),
        Command::Up(args) => up::run(context, &args),
        Command::Connect(args) => connect::run(context, args),
        Command::Disconnect(args) => disconnect::run(context, &args),
        Command::Upload(args) => upload::run(context, &args),
        Command::List(args) => list::run(context, args),
        Command::Info(args) => info::run(context, &args),
        Command::Download(args) => download::run(context, &args),
        Command::Rename(args) => rename::run(context, args),
        Command::Rm(args) => rm::run(context, args),
        Command::Restore(args) => restore::run(context, args),
        Command::Trash(args) => trash::run(context, &args),
        Command::Events(args) => events::run(context, &args),
        Command::Queue(args) => queue::run(context, args),
        Command::Watch(args) => watch::run(context, args),
        Command::Wait => wait::run(context),
        Command::Verify(args) => verify::run(context, &args),
        Command::Limit(args) => limit::run(context, &args),
        Command::Invite(args) => invite::run(context, args),
        Command::Join(args) => join::run(context, args),
        Command::People(args) => people::run(context, args),
        Command::Devices(args) => devices::run(context, args),
        Command::LoginLink(args) => login_link::run(context, &args),
        Command::Audit(args) => audit::run(context, &args),
        Command::Doctor => doctor::run(context),
        Command::View(args) => view::run(context, &args),
        Command::Man(args) => man::run(context, &args),
        Command::Completions { shell } => completions::run(context, shell),
        Command::Demo(args) => demo::run(context, &args),
        Command::Stop => stop::run(context),
    }
}

/// A document with a record.
#[derive(Serialize)]
struct ImageDocument<'a> {
    image: &'a ImageRecord,
}

/// One entry of the results of a change.
#[derive(Serialize)]
struct Changed<'a> {
    image: &'a str,
    status: &'a str,
    record: Option<&'a ImageRecord>,
    error: Option<Problem>,
}

/// The same change to several images, one after the other: `verb` as in ``cannot delete `7` ``,
/// `past` as in `deleted`.
fn change(
    context: &Arc<Context>,
    images: Vec<String>,
    (verb, past): (&str, &str),
    request: fn(ImageRef) -> Request,
) -> Result<(), Failure> {
    drop(context.open().map_err(|refusal| Failure::new(format!("{verb} the images"), refusal))?);
    let mut results = Results::new(context);
    // One at a time: they are small, and their events come in the order that was asked for.
    let act = move |line: &mut several::Line, image: &String| {
        let request = request(image_ref(image)?);
        record(line.daemon()?.call(&request)?)
    };
    several::run(context, images, Pace::AtOnce(1), act, |image, outcome| {
        match &outcome {
            Ok(record) => {
                results.done();
                let name = imgrepo_proto::name::shown(&record.name);
                context.out.confirm(&format!("{past:<9}  {:>4}  {name}", record.id));
            }
            Err(refusal) => results.failed(&format!("{verb} `{image}`"), refusal),
        }
        results.entry(&Changed {
            image,
            status: if outcome.is_ok() { past } else { "failed" },
            record: outcome.as_ref().ok(),
            error: outcome.as_ref().err().map(Problem::from),
        });
    });
    results.finish()
}
