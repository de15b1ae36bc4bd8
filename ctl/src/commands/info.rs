//! `imgctl info IMAGE`: everything that is known of an image.

use imgrepo_proto::ImageRecord;
use imgrepo_proto::control::Request;
use imgrepo_proto::name::shown;

use crate::cli;
use crate::commands::ImageDocument;
use crate::context::{Context, image_ref, record};
use crate::failure::Failure;
use crate::images::pixels;
use crate::output::Style;
use crate::table;

/// Asks and shows.
pub(crate) fn run(context: &Context, args: &cli::One) -> Result<(), Failure> {
    let act = format!("show `{}`", args.image);
    let wrap = |refusal| Failure::new(&act, refusal);
    let image = image_ref(&args.image).map_err(wrap)?;
    let image = record(context.ask(&act, &Request::Info(image))?).map_err(wrap)?;
    if context.out.json() {
        return context.out.document(&ImageDocument { image: &image });
    }
    for (title, text) in members(&image) {
        let title = context.out.styled(Style::Bold, &format!("{title:<8}"));
        context.out.line(&format!("{title}  {text}"))?;
    }
    Ok(())
}

fn members(image: &ImageRecord) -> Vec<(&'static str, String)> {
    let size = match image.size {
        Some(bytes) if bytes >= 1024 => format!("{} ({bytes} bytes)", table::size(bytes)),
        bytes => table::known_size(bytes),
    };
    let hash = image.hash.map(|hash| hash.to_string());
    let mut members = vec![
        ("id", image.id.to_string()),
        ("name", shown(&image.name)),
        ("by", shown(&image.uploader)),
        ("uploaded", table::second(image.uploaded_at)),
        ("taken", table::text(image.taken_at.as_deref())),
        ("size", size),
        ("type", table::text(image.media_type.as_deref())),
        ("pixels", pixels(image)),
        ("hash", table::text(hash.as_deref())),
    ];
    if image.trashed_at.is_some() {
        members.push(("trashed", table::second(image.trashed_at)));
    }
    members
}
