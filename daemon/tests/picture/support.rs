//! The real child, asked from here, and what it leaves behind.

use std::io;
use std::path::Path;

use imgrepo_proto::session::view::Variant;
use imgrepod::repository::picture::{
    DECIDING_BYTES, Guess, Kind, Made, Order, Picture, Unshown, kind_of, render,
};

/// The program that the children are.
pub(crate) const IMGREPOD: &str = env!("CARGO_BIN_EXE_imgrepod");

pub(crate) fn kind(content: &[u8]) -> Kind {
    match kind_of(&content[..content.len().min(DECIDING_BYTES)]) {
        Guess::Image(kind) => kind,
        other => panic!("no image: {other:?}"),
    }
}

/// All pictures of this content, and its placeholder.
pub(crate) fn all(content: &[u8]) -> Result<Made, Unshown> {
    by(IMGREPOD.as_ref(), content, &Variant::ALL)
}

/// What this program makes of this content.
pub(crate) fn by(program: &Path, content: &[u8], variants: &[Variant]) -> Result<Made, Unshown> {
    let order = Order {
        kind: kind(content),
        variants: variants.to_vec(),
        placeholder: true,
        is_background: false,
    };
    render(program, &order, content.len() as u64, &mut |into, at| {
        let from = usize::try_from(at).map_err(io::Error::other)?;
        let part = content.get(from..from + into.len()).ok_or(io::ErrorKind::UnexpectedEof)?;
        into.copy_from_slice(part);
        Ok(())
    })
}

/// The picture of this variant.
pub(crate) fn picture(made: &Made, variant: Variant) -> &Picture {
    &made.pictures.iter().find(|(of, _)| *of == variant).unwrap().1
}

/// Why a content is not shown, for good.
pub(crate) fn refusal(content: &[u8]) -> String {
    match all(content) {
        Err(Unshown::NotViewable(why)) => why,
        other => panic!("{:?}", other.map(|made| made.orientation)),
    }
}

pub(crate) fn sample(name: &str) -> Vec<u8> {
    std::fs::read(format!("{}/tests/data/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap()
}
