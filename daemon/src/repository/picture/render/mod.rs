//! The making of pictures: decode, scale, colour, turn, encode.
//!
//! Owns their order. Runs in a child of [`super::child`], on one content after which the process
//! ends; knows nothing of processes, and nothing but the content's bytes and the order.

mod animation;
mod colour;
mod decode;
mod encode;
mod photo;
mod raster;

use std::io::Read;

use imgrepo_proto::session::view::Variant;

use self::decode::Decoded;
use self::raster::{Layout, Raster};
use super::message::{Drawn, Fault, Head, Sheet, SheetFormat};

/// The longer side of what a ThumbHash is made of: what its reference takes at most.
const PLACEHOLDER_EDGE_PX: u32 = 100;

/// What a content that is its own picture may have: small enough to be sent in place of one.
pub(super) const ITSELF_BYTES: u64 = 4 * 1024 * 1024;

/// Makes what the head orders of the content that follows it.
pub(super) fn draw(head: &Head, input: &mut impl Read) -> Result<Drawn, Fault> {
    let mut order: Vec<(usize, Variant)> = head.variants.iter().copied().enumerate().collect();
    // The largest first, each from the one before: less is scaled.
    order.sort_by_key(|(_, variant)| std::cmp::Reverse(variant.edge_px()));
    let edge_px = order.first().map_or(PLACEHOLDER_EDGE_PX, |(_, variant)| variant.edge_px());
    let Decoded { raster, profile, is_animated } = decode::decode(input, head.size_bytes, edge_px)?;
    let is_itself = head.may_be_itself
        && is_animated
        && head.size_bytes <= ITSELF_BYTES
        && raster.width.max(raster.height) <= Variant::Display.edge_px();

    let stored_size = (raster.width, raster.height);
    // Scaled first: colours and turning are the work of as few pixels as there will be.
    let raster = raster.within(edge_px)?.unwrap_or(raster);
    let mut raster = colour::to_srgb(raster, profile.as_deref()).upright(head.orientation);
    let mut sheets = Vec::with_capacity(order.len());
    for (place, variant) in order {
        raster = raster.within(variant.edge_px())?.unwrap_or(raster);
        let sheet = match variant {
            Variant::Display if is_itself => {
                let (width, height) = stored_size;
                Sheet { format: SheetFormat::Itself, width, height, bytes: Vec::new() }
            }
            _ => encode::encode(raster.clone())?,
        };
        sheets.push((place, sheet));
    }
    sheets.sort_by_key(|(place, _)| *place);
    let pictures = sheets.into_iter().map(|(_, sheet)| sheet).collect();
    let placeholder = if head.placeholder { placeholder(&raster)? } else { Vec::new() };
    Ok(Drawn { placeholder, pictures })
}

/// Its ThumbHash.
fn placeholder(raster: &Raster) -> Result<Vec<u8>, Fault> {
    let small = raster.within(PLACEHOLDER_EDGE_PX)?;
    let small = small.as_ref().unwrap_or(raster);
    let rgba: Vec<u8> = match small.layout {
        Layout::Gray => small.pixels.iter().flat_map(|g| [*g, *g, *g, 255]).collect(),
        Layout::GrayAlpha => {
            small.pixels.as_chunks::<2>().0.iter().flat_map(|[g, a]| [*g, *g, *g, *a]).collect()
        }
        Layout::Rgb => {
            small.pixels.as_chunks::<3>().0.iter().flat_map(|[r, g, b]| [*r, *g, *b, 255]).collect()
        }
        Layout::Rgba => small.pixels.clone(),
        Layout::Cmyk => return Err(Fault::Unknown),
    };
    Ok(thumbhash::rgba_to_thumb_hash(small.width as usize, small.height as usize, &rgba))
}
