//! `imgctl demo`: the whole system, tried in temporary folders: a server and the daemons of two
//! people as processes of their own. Every command is printed as it is run, and the demo succeeds
//! only if everything that it shows is true.

mod house;
mod pictures;
mod steps;

use std::path::Path;
use std::sync::Arc;

use imgrepo_proto::{ErrorCode, Refusal};

use self::house::House;
use crate::cli;
use crate::context::Context;
use crate::failure::Failure;
use crate::programs::called;

/// Runs it.
pub(crate) fn run(context: &Arc<Context>, args: &cli::Demo) -> Result<(), Failure> {
    if context.out.json() {
        return Err(Failure::usage("the demo is for people: leave out `--json`"));
    }
    let keep =
        args.keep || std::env::var_os("KEEP").is_some_and(|keep| !keep.is_empty() && keep != "0");
    let wrap = |refusal| Failure::new("show the demo", refusal);
    let mut house = House::build(context).map_err(wrap)?;
    let outcome = steps::run(&mut house, args.images.as_deref());
    if outcome.is_ok() && keep {
        let root = house.leave();
        context.out.line(&kept(&root))?;
        return Ok(());
    }
    let logs = house.logs();
    drop(house);
    outcome.inspect_err(|_| context.out.note(&logs))?;
    context.out.line(&go_on())
}

/// What to do after a demo that is gone.
fn go_on() -> String {
    let (imgrepod, imgctl) = (called("imgrepod"), called("imgctl"));
    format!(
        "
All of it held; nothing of it is left. Go on with your own, the first in a terminal of its own:
  {imgrepod} --serve
  {imgctl} upload PICTURE...
  {imgctl} list"
    )
}

/// What to do after a demo that goes on.
fn kept(root: &Path) -> String {
    let (root, imgctl) = (root.display(), called("imgctl"));
    format!(
        "
All of it held; it is left running in {root}. Go on with:
  IMGREPO_HOME={root}/ana {imgctl} upload PICTURE...
  IMGREPO_HOME={root}/bruno {imgctl} list
  for home in ana bruno server; do IMGREPO_HOME={root}/$home {imgctl} stop; done; rm -r {root}"
    )
}

/// Something that the demo shows is not so.
fn broken(message: impl Into<String>) -> Refusal {
    Refusal::new(ErrorCode::Internal, message)
}
