//! What goes between a child that decodes and its parent, as bytes.
//!
//! Owns the head that comes before the content on the child's stdin, and the answer on its stdout.
//! Pure. An answer is a stranger's word: its lengths are bounded before anything is allocated, and
//! what it says of its pictures is for the parent to check. Both ends are the same program, so
//! there is no version.

use std::io::{self, Read, Write};

use imgrepo_proto::session::view::Variant;

/// Bytes of a [`Head`].
const HEAD_BYTES: usize = 16;

/// Bytes of an answer before its placeholder and pictures.
const ANSWER_BYTES: usize = 4;

/// Of a ThumbHash: 25 at most, in whole images as in real ones.
const PLACEHOLDER_BYTES: usize = 25;

/// What no picture of so many pixels needs, whatever is in it: four bytes each, and room for headers.
pub(super) fn most_bytes(variant: Variant) -> u64 {
    let edge = u64::from(variant.edge_px());
    edge * edge * 4 + 64 * 1024
}

/// What the child is to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) size_bytes: u64,
    /// EXIF's number.
    pub(super) orientation: u8,
    pub(super) placeholder: bool,
    pub(super) is_background: bool,
    /// Whether a small animated content may be its own picture for the display.
    pub(super) may_be_itself: bool,
    pub(super) variants: Vec<Variant>,
}

impl Head {
    pub(super) fn write(&self) -> [u8; HEAD_BYTES] {
        let mut bytes = [0; HEAD_BYTES];
        bytes[..8].copy_from_slice(&self.size_bytes.to_le_bytes());
        let flags = [self.placeholder, self.is_background, self.may_be_itself];
        bytes[8] = self.orientation;
        for (at, flag) in flags.into_iter().enumerate() {
            bytes[9] |= u8::from(flag) << at;
        }
        for (at, variant) in self.variants.iter().take(3).enumerate() {
            bytes[10 + at] = 1 + *variant as u8;
        }
        bytes
    }

    pub(super) fn read(from: &mut impl Read) -> io::Result<Head> {
        let mut bytes = [0; HEAD_BYTES];
        from.read_exact(&mut bytes)?;
        let mut size = [0; 8];
        size.copy_from_slice(&bytes[..8]);
        let variant = |byte: &u8| Variant::ALL.get(usize::from(byte.checked_sub(1)?)).copied();
        Ok(Head {
            size_bytes: u64::from_le_bytes(size),
            orientation: bytes[8],
            placeholder: bytes[9] & 1 != 0,
            is_background: bytes[9] & 2 != 0,
            may_be_itself: bytes[9] & 4 != 0,
            variants: bytes[10..13].iter().filter_map(variant).collect(),
        })
    }
}

/// How far the system let itself be taken away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Confinement {
    /// The file system and the network (landlock).
    pub(super) files: bool,
    /// All system calls but a few (seccomp).
    pub(super) calls: bool,
}

/// What became of an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) confinement: Confinement,
    pub(super) outcome: Result<Drawn, Fault>,
}

/// What the child made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Drawn {
    pub(super) placeholder: Vec<u8>,
    pub(super) pictures: Vec<Sheet>,
}

/// One picture as the child gives it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Sheet {
    pub(super) format: SheetFormat,
    pub(super) width: u32,
    pub(super) height: u32,
    /// Nothing where the content is its own picture.
    pub(super) bytes: Vec<u8>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SheetFormat {
    Jpeg = 1,
    Png = 2,
    WebP = 3,
    /// The content itself.
    Itself = 4,
}

/// Why the child made nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// The decoder could not make sense of it.
    Broken = 1,
    /// More pixels than are decoded.
    TooManyPixels = 2,
    /// It would need more memory than there is.
    TooLarge = 3,
    /// A kind of its format that no decoder here knows.
    Unknown = 4,
    /// Not the content's fault.
    Passing = 5,
}

impl Answer {
    pub(super) fn write(&self, to: &mut impl Write) -> io::Result<()> {
        let Confinement { files, calls } = self.confinement;
        let confinement = u8::from(files) | u8::from(calls) << 1;
        let drawn = match &self.outcome {
            Ok(drawn) => drawn,
            Err(fault) => return to.write_all(&[confinement, *fault as u8, 0, 0]),
        };
        let lens = [drawn.placeholder.len(), drawn.pictures.len()].map(|len| len as u8);
        to.write_all(&[confinement, 0, lens[0], lens[1]])?;
        to.write_all(&drawn.placeholder)?;
        for sheet in &drawn.pictures {
            to.write_all(&[sheet.format as u8])?;
            for number in [sheet.width, sheet.height, sheet.bytes.len() as u32] {
                to.write_all(&number.to_le_bytes())?;
            }
            to.write_all(&sheet.bytes)?;
        }
        Ok(())
    }

    /// Reads the answer to an order of these variants, to its end.
    ///
    /// # Errors
    /// `UnexpectedEof` where it ends early, `InvalidData` where it is none.
    pub(super) fn read(from: &mut impl Read, variants: &[Variant]) -> io::Result<Answer> {
        let mut head = [0; ANSWER_BYTES];
        from.read_exact(&mut head)?;
        let [confinement, fault, placeholder_len, count] = head;
        let outcome = match fault {
            0 => Ok(drawn(from, placeholder_len, count, variants)?),
            1 => Err(Fault::Broken),
            2 => Err(Fault::TooManyPixels),
            3 => Err(Fault::TooLarge),
            4 => Err(Fault::Unknown),
            5 => Err(Fault::Passing),
            _ => return Err(io::ErrorKind::InvalidData.into()),
        };
        if from.read(&mut [0])? != 0 {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let confinement = Confinement { files: confinement & 1 != 0, calls: confinement & 2 != 0 };
        Ok(Answer { confinement, outcome })
    }
}

fn drawn(
    from: &mut impl Read,
    placeholder_len: u8,
    count: u8,
    variants: &[Variant],
) -> io::Result<Drawn> {
    let placeholder_len = usize::from(placeholder_len);
    if placeholder_len > PLACEHOLDER_BYTES || usize::from(count) != variants.len() {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut placeholder = vec![0; placeholder_len];
    from.read_exact(&mut placeholder)?;
    let mut pictures = Vec::with_capacity(variants.len());
    for variant in variants {
        let mut format = [0];
        from.read_exact(&mut format)?;
        let format = match format[0] {
            1 => SheetFormat::Jpeg,
            2 => SheetFormat::Png,
            3 => SheetFormat::WebP,
            4 => SheetFormat::Itself,
            _ => return Err(io::ErrorKind::InvalidData.into()),
        };
        let [width, height, len] = [number(from)?, number(from)?, number(from)?];
        if u64::from(len) > most_bytes(*variant) {
            return Err(io::ErrorKind::InvalidData.into());
        }
        // Grows with what comes: a length alone allocates nothing.
        let mut bytes = Vec::new();
        from.take(len.into()).read_to_end(&mut bytes)?;
        if bytes.len() != len as usize {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        pictures.push(Sheet { format, width, height, bytes });
    }
    Ok(Drawn { placeholder, pictures })
}

fn number(from: &mut impl Read) -> io::Result<u32> {
    let mut bytes = [0; 4];
    from.read_exact(&mut bytes)?;
    Ok(u32::from_le_bytes(bytes))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const CONFINED: Confinement = Confinement { files: true, calls: false };

    fn written(answer: &Answer) -> Vec<u8> {
        let mut bytes = Vec::new();
        answer.write(&mut bytes).unwrap();
        bytes
    }

    fn sheet(len: usize) -> Sheet {
        Sheet { format: SheetFormat::Png, width: 3, height: 2, bytes: vec![7; len] }
    }

    #[test]
    fn a_head_is_read_as_it_was_written() {
        for variants in [vec![], vec![Variant::Display], Variant::ALL.to_vec()] {
            let head = Head {
                size_bytes: 1 << 40,
                orientation: 6,
                placeholder: true,
                is_background: false,
                may_be_itself: true,
                variants,
            };
            assert_eq!(Head::read(&mut head.write().as_slice()).unwrap(), head);
        }
    }

    #[test]
    fn an_answer_is_read_as_it_was_written_and_no_other() {
        let variants = [Variant::Small, Variant::Medium];
        let drawn = Drawn { placeholder: vec![1; 25], pictures: vec![sheet(0), sheet(70_000)] };
        let answer = Answer { confinement: CONFINED, outcome: Ok(drawn) };
        let bytes = written(&answer);
        assert_eq!(Answer::read(&mut bytes.as_slice(), &variants).unwrap(), answer);
        assert!(Answer::read(&mut bytes.as_slice(), &variants[..1]).is_err());
        assert!(Answer::read(&mut [&bytes[..], b"x"].concat().as_slice(), &variants).is_err());
        for len in [0, 3, 4, 28, 29, 41, bytes.len() - 1] {
            assert!(Answer::read(&mut &bytes[..len], &variants).is_err(), "{len}");
        }
        for fault in
            [Fault::Broken, Fault::TooManyPixels, Fault::TooLarge, Fault::Unknown, Fault::Passing]
        {
            let answer = Answer { confinement: CONFINED, outcome: Err(fault) };
            let read = Answer::read(&mut written(&answer).as_slice(), &variants).unwrap();
            assert_eq!(read, answer);
        }
    }

    #[test]
    fn a_picture_may_have_four_bytes_a_pixel_and_no_more() {
        let most = most_bytes(Variant::Small) as usize;
        for (len, is_taken) in [(most, true), (most + 1, false)] {
            let drawn = Drawn { placeholder: vec![], pictures: vec![sheet(len)] };
            let bytes = written(&Answer { confinement: CONFINED, outcome: Ok(drawn) });
            assert_eq!(Answer::read(&mut &bytes[..], &[Variant::Small]).is_ok(), is_taken);
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(bytes: Vec<u8>) {
            let _ = Head::read(&mut bytes.as_slice());
            let _ = Answer::read(&mut bytes.as_slice(), &Variant::ALL);
        }
    }
}
