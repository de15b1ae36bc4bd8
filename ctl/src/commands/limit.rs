//! `imgctl limit [up|down RATE]`: how fast all transfers together may be.

use imgrepo_proto::control::queue::Rates;
use imgrepo_proto::control::{Outcome, Request};
use serde::Serialize;

use crate::cli::{self, Way};
use crate::context::{Context, unexpected};
use crate::failure::Failure;
use crate::table;

/// `{"v":1,"rates":{"up":512000,"down":null}}`.
#[derive(Serialize)]
struct Document {
    rates: Rates,
}

/// Sets one where it is given, and shows both.
pub(crate) fn run(context: &Context, args: &cli::Limit) -> Result<(), Failure> {
    let rate = args.rate.map(|rate| rate.0);
    let (act, up, down) = match args.way {
        Some(Way::Up) => ("limit the uploads", rate, None),
        Some(Way::Down) => ("limit the downloads", None, rate),
        None => ("show the limits", None, None),
    };
    let rates = match context.ask(act, &Request::Limit { up, down })? {
        Outcome::Rates(rates) => rates,
        other => return Err(Failure::new(act, unexpected(&other))),
    };
    if context.out.json() {
        return context.out.document(&Document { rates });
    }
    context.out.line(&format!("up    {}", said(rates.up)))?;
    context.out.line(&format!("down  {}", said(rates.down)))
}

/// A limit as people say it.
pub(super) fn said(rate: Option<u64>) -> String {
    rate.map_or_else(|| "no limit".to_owned(), |bytes| format!("{}/s", table::size(bytes)))
}
