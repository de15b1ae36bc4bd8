//! `imgctl info IMAGE`: everything that is known of an image, with what its camera wrote.

use imgrepo_proto::control::{Outcome, Request};
use imgrepo_proto::name::shown;
use imgrepo_proto::session::view::Exif;
use imgrepo_proto::{ImageRecord, ImageRef};
use serde::Serialize;

use crate::cli;
use crate::context::{Context, image_ref, record};
use crate::failure::Failure;
use crate::images::pixels;
use crate::output::Style;
use crate::table;

#[derive(Serialize)]
struct InfoDocument<'a> {
    image: &'a ImageRecord,
    exif: Option<&'a Exif>,
}

/// Asks and shows.
pub(crate) fn run(context: &Context, args: &cli::One) -> Result<(), Failure> {
    let act = format!("show `{}`", args.image);
    let wrap = |refusal| Failure::new(&act, refusal);
    let image = image_ref(&args.image).map_err(wrap)?;
    let image = record(context.ask(&act, &Request::Info(image))?).map_err(wrap)?;
    // An older daemon or server does not know of it, and the record is worth showing without.
    let exif = match context.ask(&act, &Request::Exif(ImageRef::Id(image.id))) {
        Ok(Outcome::Exif(exif)) => *exif,
        Ok(_) | Err(_) => None,
    };
    if context.out.json() {
        return context.out.document(&InfoDocument { image: &image, exif: exif.as_ref() });
    }
    for (title, text) in members(&image).into_iter().chain(exif.iter().flat_map(written)) {
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

/// What a camera wrote, in the words of photographers.
fn written(exif: &Exif) -> Vec<(&'static str, String)> {
    let text = |text: &Option<String>| text.as_deref().map(shown).filter(|text| !text.is_empty());
    let words = |words: Vec<Option<String>>, between: &str| {
        let words: Vec<String> = words.into_iter().flatten().collect();
        (!words.is_empty()).then(|| words.join(between))
    };
    let (make, model) = (text(&exif.make), text(&exif.model));
    // Many name their maker in the model too.
    let is_said = |make: &String| model.as_ref().is_some_and(|model| model.starts_with(make));
    let make = make.filter(|make| !is_said(make));
    let exposure = words(
        vec![
            exif.exposure_seconds.and_then(exposure),
            exif.f_number.map(|number| format!("f/{number}")),
            exif.iso.map(|iso| format!("ISO {iso}")),
            exif.focal_length_mm.map(|length| format!("{length} mm")),
            exif.focal_length_35mm.map(|length| format!("as {length} mm on film")),
            exif.flash.filter(|fired| *fired).map(|_| "flash".to_owned()),
        ],
        ", ",
    );
    let place = exif.latitude.zip(exif.longitude).map(|(latitude, longitude)| {
        let height = exif.altitude_m.map(|metres| format!(", {metres:.0} m")).unwrap_or_default();
        format!("{latitude:.5}, {longitude:.5}{height}")
    });
    let lines = [
        ("camera", words(vec![make, model], " ")),
        ("lens", text(&exif.lens)),
        ("exposure", exposure),
        ("place", place),
        ("artist", text(&exif.artist)),
        ("rights", text(&exif.copyright)),
        ("about", text(&exif.description)),
        ("program", text(&exif.software)),
    ];
    lines.into_iter().filter_map(|(title, text)| Some((title, text?))).collect()
}

/// `1/200 s` below a second, as cameras say it.
fn exposure(seconds: f64) -> Option<String> {
    match seconds {
        seconds if !seconds.is_finite() || seconds <= 0.0 => None,
        seconds if seconds < 0.5 => Some(format!("1/{:.0} s", 1.0 / seconds)),
        seconds => Some(format!("{seconds} s")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_camera_wrote_is_said_as_photographers_do() {
        let exif = Exif {
            make: Some("Canon".to_owned()),
            model: Some("Canon EOS 80D".to_owned()),
            lens: Some("\u{1b}[2J50mm".to_owned()),
            exposure_seconds: Some(0.005),
            f_number: Some(2.8),
            iso: Some(100),
            flash: Some(true),
            latitude: Some(-23.5505),
            longitude: Some(-46.6333),
            altitude_m: Some(760.4),
            ..Exif::default()
        };
        let lines = written(&exif);
        let line = |title| lines.iter().find(|line| line.0 == title).map(|line| line.1.as_str());
        assert_eq!(line("camera"), Some("Canon EOS 80D"));
        assert_eq!(line("exposure"), Some("1/200 s, f/2.8, ISO 100, flash"));
        assert_eq!(line("place"), Some("-23.55050, -46.63330, 760 m"));
        assert!(!line("lens").unwrap().contains('\u{1b}'));
        assert_eq!(line("artist"), None);
        assert_eq!(written(&Exif::default()), []);
        assert_eq!(exposure(30.0).as_deref(), Some("30 s"));
        assert_eq!(exposure(0.0), None);
    }
}
