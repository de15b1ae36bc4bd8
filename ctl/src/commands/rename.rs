//! `imgctl rename IMAGE NAME`: another name for an image.

use imgrepo_proto::control::Request;
use imgrepo_proto::name::shown;

use crate::cli;
use crate::commands::ImageDocument;
use crate::context::{Context, image_ref, record};
use crate::failure::Failure;

/// Asks for it.
pub(crate) fn run(context: &Context, args: cli::Rename) -> Result<(), Failure> {
    let act = format!("rename `{}`", args.image);
    let wrap = |refusal| Failure::new(&act, refusal);
    let image = image_ref(&args.image).map_err(wrap)?;
    let request = Request::Rename { image, name: args.name };
    let image = record(context.ask(&act, &request)?).map_err(wrap)?;
    if context.out.json() {
        return context.out.document(&ImageDocument { image: &image });
    }
    context.out.confirm(&format!("{:<9}  {:>4}  {}", "renamed", image.id, shown(&image.name)));
    Ok(())
}
