//! Pictures of one content: the parent's half.
//!
//! Owns [`render`]: what of the content is shown, the child that makes it, and the check of everything
//! that the child answers. Called by the repository on a thread that may block. Never decodes pixels
//! itself.

#[cfg(feature = "fuzzing")]
pub mod fuzzing;

use std::io::{self, Cursor, Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::Once;
use std::sync::atomic::AtomicBool;

use data_encoding::BASE64;
use imgrepo_proto::session::view::Variant;

use super::child::{self, Ended, ReadAt};
use super::header;
use super::kind::{DECIDING_BYTES, Guess, Kind, kind_of};
use super::message::{Answer, Confinement, Drawn, Fault, Head, Sheet, SheetFormat};
use super::order::{Made, Order, Picture, Unshown};
use super::render::ITSELF_BYTES;
use super::shown::{self, Shown};
use super::source::Source;

/// How a Rust program ends that panicked.
const PANICKED: i32 = 101;

/// Makes the pictures of one content in one child of this program, which must be `imgrepod`. Blocks:
/// for a tenth of a second as a rule, for two minutes at most. `read_at` gives all bytes at an offset.
///
/// # Errors
/// [`Unshown`] says whether another time would do better.
pub fn render(
    program: &Path,
    order: &Order,
    size_bytes: u64,
    read_at: &mut dyn FnMut(&mut [u8], u64) -> io::Result<()>,
) -> Result<Made, Unshown> {
    render_until(program, order, size_bytes, read_at, &AtomicBool::new(false))
}

/// As [`render`], and ends its child soon after it is to `stop`.
///
/// # Errors
/// As [`render`].
pub fn render_until(
    program: &Path,
    order: &Order,
    size_bytes: u64,
    read_at: &mut dyn FnMut(&mut [u8], u64) -> io::Result<()>,
    stop: &AtomicBool,
) -> Result<Made, Unshown> {
    let mut drawer = |head: &Head, part: &mut ReadAt<'_>| child::run(program, head, part, stop);
    made_by(&mut drawer, order, size_bytes, read_at)
}

/// What a child does.
type Drawer<'a> = dyn FnMut(&Head, &mut ReadAt<'_>) -> Result<Answer, Ended> + 'a;

fn made_by(
    drawer: &mut Drawer<'_>,
    order: &Order,
    size_bytes: u64,
    read_at: &mut ReadAt<'_>,
) -> Result<Made, Unshown> {
    let content = &mut Content { read_at, size_bytes, position: 0 };
    let mut source = Source::new(content, size_bytes);
    let (name, shown) = shown::find(&mut source, order.kind);
    source.close()?;
    let name = name.as_str();
    let Some(shown) = shown else {
        let why = format!("{name} images cannot be shown, and this one has no preview in it");
        return Err(Unshown::NotViewable(why));
    };
    let Shown { at, len, orientation } = shown;
    let may_be_itself = orientation == 1
        && len == size_bytes
        && len <= ITSELF_BYTES
        && matches!(order.kind, Kind::Gif | Kind::Png | Kind::WebP);
    let head = Head {
        size_bytes: len,
        orientation,
        placeholder: order.placeholder,
        is_background: order.is_background,
        may_be_itself,
        variants: order.variants.clone(),
    };
    let mut part = |into: &mut [u8], from: u64| read_at(into, at + from);
    let Answer { confinement, outcome } =
        drawer(&head, &mut part).map_err(|ended| verdict(ended, name))?;
    warn_once(confinement);
    let drawn = outcome.map_err(|fault| unshown(fault, name))?;
    check(drawn, order, &head, read_at, name)
}

/// What a child's end says of its content.
fn verdict(ended: Ended, name: &str) -> Unshown {
    let of_content = |what: &str| Unshown::NotViewable(format!("this {name} image {what}"));
    let status = match ended {
        Ended::Failed(error) => return error.into(),
        Ended::TimedOut => return io::Error::from(io::ErrorKind::TimedOut).into(),
        Ended::Lied => return of_content("made its decoder give nonsense"),
        Ended::Alone(status) => status,
    };
    #[cfg(unix)]
    {
        use std::os::unix::process::ExitStatusExt as _;

        use rustix::process::Signal;
        match status.signal().and_then(Signal::from_named_raw) {
            // The system's own want of memory, or a person's: not the content's.
            Some(Signal::KILL | Signal::TERM | Signal::INT | Signal::HUP) => {
                return io::Error::other("its process was killed").into();
            }
            Some(Signal::XCPU) => return of_content("takes too long to decode"),
            Some(Signal::ABORT) => return of_content("needs too much memory to decode"),
            Some(Signal::SYS) => {
                tracing::warn!("a decoder of {name} images did what it may not, and was ended");
            }
            _ => {}
        }
    }
    match status.code() {
        // A fault that it did not survive, or a decoder's panic.
        None | Some(PANICKED) => of_content("breaks its decoder"),
        // The program is another one, or did not come so far.
        Some(_) => {
            io::Error::other(format!("its process ended without an answer ({status})")).into()
        }
    }
}

fn unshown(fault: Fault, name: &str) -> Unshown {
    Unshown::NotViewable(match fault {
        Fault::Passing => return io::Error::other("its process could not begin").into(),
        Fault::Broken => format!("this {name} image is broken"),
        Fault::TooManyPixels => "it has more than 100 megapixels".to_owned(),
        Fault::TooLarge => format!("this {name} image needs too much memory to decode"),
        Fault::Unknown => format!("{name} images of this sort cannot be shown"),
    })
}

/// Says once what the system cannot take away from the children.
fn warn_once(confinement: Confinement) {
    static SAID: Once = Once::new();
    let Confinement { files, calls } = confinement;
    if cfg!(target_os = "linux") && !(files && calls) {
        SAID.call_once(|| {
            tracing::warn!(
                landlock = files,
                seccomp = calls,
                "this system confines the decoding of images less than it might; limits of memory \
                 and time hold"
            );
        });
    }
}

/// Believes what can be seen to be so.
fn check(
    drawn: Drawn,
    order: &Order,
    head: &Head,
    read_at: &mut ReadAt<'_>,
    name: &str,
) -> Result<Made, Unshown> {
    let lied = || verdict(Ended::Lied, name);
    let mut pictures = Vec::with_capacity(drawn.pictures.len());
    for (variant, sheet) in order.variants.iter().zip(drawn.pictures) {
        let (media_type, bytes) = match sheet.format {
            SheetFormat::Itself => {
                if *variant != Variant::Display || !head.may_be_itself {
                    return Err(lied());
                }
                let mut bytes = vec![0; head.size_bytes as usize];
                read_at(&mut bytes, 0)?;
                (order.kind.media_type(), bytes)
            }
            _ => (checked(&sheet).ok_or_else(lied)?, sheet.bytes),
        };
        let (width, height) = (sheet.width, sheet.height);
        let is_right = width.max(height) <= variant.edge_px()
            && size_of(&bytes) == Some((width.into(), height.into()));
        if !is_right {
            return Err(lied());
        }
        pictures.push((*variant, Picture { media_type, bytes, width, height }));
    }
    let placeholder = order.placeholder.then(|| BASE64.encode(&drawn.placeholder));
    if placeholder.as_ref().is_some_and(String::is_empty) {
        return Err(lied());
    }
    Ok(Made { orientation: head.orientation, placeholder, pictures })
}

/// The media type of what the child says that it encoded, where the bytes say so too.
fn checked(sheet: &Sheet) -> Option<&'static str> {
    let expected = match sheet.format {
        SheetFormat::Jpeg => Kind::Jpeg,
        SheetFormat::Png => Kind::Png,
        SheetFormat::WebP => Kind::WebP,
        SheetFormat::Itself => return None,
    };
    let first = &sheet.bytes[..sheet.bytes.len().min(DECIDING_BYTES)];
    (kind_of(first) == Guess::Image(expected)).then(|| expected.media_type())
}

/// The size that an encoded picture itself says.
fn size_of(bytes: &[u8]) -> Option<(u64, u64)> {
    let Guess::Image(kind) = kind_of(&bytes[..bytes.len().min(DECIDING_BYTES)]) else {
        return None;
    };
    let mut content = Cursor::new(bytes);
    let mut source = Source::new(&mut content, bytes.len() as u64);
    header::read(&mut source, kind).ok()?.size
}

/// The content as a stream, for the readers of this room.
struct Content<'a, 'b> {
    read_at: &'a mut ReadAt<'b>,
    size_bytes: u64,
    position: u64,
}

impl Read for Content<'_, '_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let left = self.size_bytes.saturating_sub(self.position);
        let len = left.min(into.len() as u64) as usize;
        if len > 0 {
            (self.read_at)(&mut into[..len], self.position)?;
        }
        self.position += len as u64;
        Ok(len)
    }
}

impl Seek for Content<'_, '_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let target = match to {
            SeekFrom::Start(offset) => Some(offset),
            SeekFrom::End(delta) => self.size_bytes.checked_add_signed(delta),
            SeekFrom::Current(delta) => self.position.checked_add_signed(delta),
        };
        self.position = target.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.position)
    }
}
