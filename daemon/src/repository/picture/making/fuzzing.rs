//! For the fuzz targets alone: the making of pictures with no child, so that what they change in a
//! content is seen by the same process. Everything else is as in [`super::render`], the distrust of the
//! answer included.

use std::io::{self, Read};

use super::{Drawer, made_by};
use crate::repository::picture::message::{Answer, Confinement, Head};
use crate::repository::picture::order::{Made, Order, Unshown};
use crate::repository::picture::render::draw;

/// Makes the pictures of this content, here. A decoder's panic is the caller's, and so is its want of
/// memory.
///
/// # Errors
/// As [`super::render`].
pub fn render_here(order: &Order, content: &[u8]) -> Result<Made, Unshown> {
    let mut read_at = |into: &mut [u8], at: u64| {
        let from = usize::try_from(at).ok().and_then(|at| content.get(at..));
        let from = from.and_then(|from| from.get(..into.len()));
        into.copy_from_slice(from.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    };
    let drawer: &mut Drawer<'_> = &mut |head, part| {
        let mut input = vec![0; usize::try_from(head.size_bytes).unwrap_or_default()];
        part(&mut input, 0).map_err(super::Ended::Failed)?;
        answered(head, &mut input.as_slice()).map_err(super::Ended::Failed)
    };
    made_by(drawer, order, content.len() as u64, &mut read_at)
}

/// What a child would write, and its parent read.
fn answered(head: &Head, input: &mut impl Read) -> io::Result<Answer> {
    let head = Head::read(&mut head.write().as_slice())?;
    let confinement = Confinement { files: true, calls: true };
    let mut said = Vec::new();
    Answer { confinement, outcome: draw(&head, input) }.write(&mut said)?;
    Answer::read(&mut said.as_slice(), &head.variants)
}
