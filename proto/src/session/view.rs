//! Pictures made for looking at an image, and what its camera wrote: the arguments of VIEW and the
//! reply to EXIF.

use serde::{Deserialize, Serialize};

use super::command::Target;

/// A picture of an image in a size and a format that every viewer can show, its orientation applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Variant {
    /// At most 256 pixels wide and high.
    #[serde(rename = "256")]
    Small,
    /// At most 512 pixels wide and high.
    #[serde(rename = "512")]
    Medium,
    /// At most 2,560 pixels wide and high.
    #[serde(rename = "display")]
    Display,
}

impl Variant {
    /// All of them, the smallest first.
    pub const ALL: [Variant; 3] = [Variant::Small, Variant::Medium, Variant::Display];

    /// Its word on the wire and in addresses.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Variant::Small => "256",
            Variant::Medium => "512",
            Variant::Display => "display",
        }
    }

    /// Pixels that it is wide and high at most.
    #[must_use]
    pub fn edge_px(self) -> u32 {
        match self {
            Variant::Small => 256,
            Variant::Medium => 512,
            Variant::Display => 2560,
        }
    }
}

/// The arguments of VIEW.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct View {
    /// Which image.
    #[serde(flatten)]
    pub target: Target,
    /// Which picture of it.
    pub variant: Variant,
}

/// What a camera wrote into an image. Texts are as they stand there, of at most 200 bytes each, and
/// nobody checked them; what is not there, or makes no sense, is None.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Exif {
    /// Who made the camera.
    pub make: Option<String>,
    /// The camera.
    pub model: Option<String>,
    /// The lens.
    pub lens: Option<String>,
    /// Seconds that the shutter was open.
    pub exposure_seconds: Option<f64>,
    /// The aperture, such as 2.8.
    pub f_number: Option<f64>,
    /// The sensitivity.
    pub iso: Option<u32>,
    /// The focal length, in millimetres.
    pub focal_length_mm: Option<f64>,
    /// The focal length that shows as much on a film of 35 mm.
    pub focal_length_35mm: Option<u32>,
    /// Whether the flash fired.
    pub flash: Option<bool>,
    /// The program that wrote the image.
    pub software: Option<String>,
    /// Who took it.
    pub artist: Option<String>,
    /// Whose it is.
    pub copyright: Option<String>,
    /// What it shows.
    pub description: Option<String>,
    /// Degrees north of the equator.
    pub latitude: Option<f64>,
    /// Degrees east of Greenwich.
    pub longitude: Option<f64>,
    /// Metres above the sea.
    pub altitude_m: Option<f64>,
}

/// `data` of EXIF. None where the image has nothing of the kind.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ExifReply {
    /// What the camera wrote.
    pub exif: Option<Exif>,
}
