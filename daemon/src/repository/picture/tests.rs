//! Each sample says what it is; nothing else is taken; and any bytes cost no more than the budget.

use std::cell::Cell;
use std::io::{Cursor, Read, Result, Seek, SeekFrom};
use std::path::PathBuf;

use proptest::prelude::*;

use super::source::BUDGET_BYTES;
use super::{DECIDING_BYTES, Guess, Probe, kind_of, probe};

const TIME: Option<&str> = Some("2021-07-04T18:30:00+02:00");
const LOCAL: Option<&str> = Some("2021-07-04T18:30:00");
const SMALL: Option<(u32, u32)> = Some((40, 24));
const FULL: Option<(u32, u32)> = Some((6000, 4000));

type Said = (&'static str, &'static str, Option<(u32, u32)>, Option<&'static str>);

const SAMPLES: [Said; 39] = [
    ("exif.jpg", "image/jpeg", SMALL, TIME),
    ("local.jpg", "image/jpeg", SMALL, LOCAL),
    ("exif.png", "image/png", SMALL, TIME),
    ("plain.gif", "image/gif", SMALL, None),
    ("exif.webp", "image/webp", SMALL, TIME),
    ("lossy.webp", "image/webp", SMALL, None),
    ("lossless.webp", "image/webp", SMALL, None),
    ("plain.bmp", "image/bmp", SMALL, None),
    ("plain.ico", "image/vnd.microsoft.icon", Some((16, 16)), None),
    ("exif.heic", "image/heic", SMALL, TIME),
    ("exif.avif", "image/avif", SMALL, TIME),
    ("plain.jxl", "image/jxl", SMALL, None),
    ("exif.jxl", "image/jxl", SMALL, TIME),
    ("bare-exif.jxl", "image/jxl", SMALL, TIME),
    ("plain.tif", "image/tiff", SMALL, None),
    ("big.tif", "image/tiff", SMALL, None),
    ("camera.tif", "image/tiff", FULL, TIME),
    ("plain.qoi", "image/qoi", SMALL, None),
    ("ascii.pbm", "image/x-portable-bitmap", Some((4, 2)), None),
    ("ascii.pgm", "image/x-portable-graymap", Some((4, 2)), None),
    ("ascii.ppm", "image/x-portable-pixmap", Some((2, 1)), None),
    ("plain.pbm", "image/x-portable-bitmap", SMALL, None),
    ("plain.pgm", "image/x-portable-graymap", SMALL, None),
    ("plain.ppm", "image/x-portable-pixmap", SMALL, None),
    ("plain.pam", "image/x-portable-arbitrarymap", SMALL, None),
    ("head.nef", "image/x-nikon-nef", FULL, TIME),
    ("head.arw", "image/x-sony-arw", FULL, TIME),
    ("head.dng", "image/x-adobe-dng", FULL, TIME),
    ("head.pef", "image/x-pentax-pef", FULL, TIME),
    ("head.srw", "image/x-samsung-srw", FULL, TIME),
    ("head.cr2", "image/x-canon-cr2", FULL, TIME),
    ("head.cr3", "image/x-canon-cr3", FULL, TIME),
    ("head.crw", "image/x-canon-crw", None, None),
    ("head.orf", "image/x-olympus-orf", FULL, TIME),
    ("head.rw2", "image/x-panasonic-rw2", FULL, TIME),
    ("head.raf", "image/x-fuji-raf", FULL, TIME),
    ("head.x3f", "image/x-sigma-x3f", FULL, None),
    ("head.mrw", "image/x-minolta-mrw", FULL, TIME),
    ("oriented.jpg", "image/jpeg", SMALL, None),
];

fn sample(name: &str) -> Vec<u8> {
    std::fs::read(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name)).unwrap()
}

/// Probes, and holds the probe to its bounds.
fn bounded(content: &[u8], size_bytes: u64) -> Option<Probe> {
    let mut counted = Counted { inner: Cursor::new(content), bytes: 0, seeks: 0 };
    let found = probe(&mut counted, size_bytes).unwrap();
    assert!(counted.bytes <= BUDGET_BYTES, "{} bytes read", counted.bytes);
    assert!(counted.seeks <= 2048, "{} seeks", counted.seeks);
    found
}

struct Counted<R> {
    inner: R,
    bytes: u64,
    seeks: u64,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, into: &mut [u8]) -> Result<usize> {
        let len = self.inner.read(into)?;
        self.bytes += len as u64;
        Ok(len)
    }
}

impl<R: Seek> Seek for Counted<R> {
    fn seek(&mut self, to: SeekFrom) -> Result<u64> {
        self.seeks += 1;
        self.inner.seek(to)
    }
}

#[test]
fn each_sample_says_what_it_is() {
    for (name, media_type, size, taken_at) in SAMPLES {
        let content = sample(name);
        let found = bounded(&content, content.len() as u64).expect(name);
        let wanted = Probe {
            media_type,
            width: size.map(|(width, _)| width),
            height: size.map(|(_, height)| height),
            taken_at: taken_at.map(str::to_owned),
            orientation: if name == "oriented.jpg" { 6 } else { 1 },
        };
        assert_eq!(found, wanted, "{name}");
        let first = &content[..content.len().min(DECIDING_BYTES)];
        assert!(matches!(kind_of(first), Guess::Image(_)), "{name}");
    }
}

#[test]
fn a_sample_cut_anywhere_is_read_as_far_as_it_goes() {
    for (name, _, size, taken_at) in SAMPLES {
        let content = sample(name);
        for len in 0..content.len() {
            let cut = &content[..len];
            let guess = kind_of(cut);
            assert!(guess != Guess::NotAnImage, "{name} cut at {len}");
            assert!(guess != Guess::NeedMore || len < DECIDING_BYTES, "{name} cut at {len}");
            bounded(cut, content.len() as u64);
            let Some(found) = bounded(cut, len as u64) else { continue };
            let said = found.width.zip(found.height);
            assert!(said.is_none() || said == size, "{name} at {len}");
            assert!(found.taken_at.is_none() || taken_at.is_some(), "{name} at {len}");
        }
    }
}

#[test]
fn what_is_no_image_is_not_taken() {
    let others: [&[u8]; 24] = [
        b"",
        b"hello, world, this is a text that goes on for a while, and then some more of it",
        b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n1 0 obj\n<< /Type /Catalog >> endobj",
        b"BM is short for Bitmap, and this sentence is not one of them, however it starts",
        b"P1 is my pin, and nobody shall know it, for it opens all of my doors at once!!!",
        b"P4 12 times",
        b"P6 3 is a road",
        b"P2 100 200 ml of milk and other things that one needs to bake a cake for tea",
        b"P7 332 is a thumbnail of a viewer that nobody uses any more, as far as I know",
        b"P5\n0 10\n255\n..........................................................................",
        b"GIF89a is a format that I like, because it moves, and moves, and never ends at all",
        b"II*then some text that is long enough to reach past whatever anyone would ask for",
        b"qoif is a format too, and a rather quick one; this text is not in it, I am afraid",
        b"RIFF\x24\0\0\0WAVEfmt \x10\0\0\0\x01\0\x01\0\x44\xac\0\0\x88\x58\x01\0\x02\0\x10\0data",
        b"\0\0\0\x20ftypisom\0\0\x02\0isomiso2avc1mp41\0\0\0\x08free",
        b"\0\0\0\x18ftypmp42\0\0\0\0mp42heic\0\0\0\x08free\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0",
        b"\0\0\0\x14ftypqt  \0\0\0\0qt  \0\0\0\x08wide\0\0\0\0mdat\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0",
        &[0; 4096],
        b"\0\0\x01\0\x01\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0",
        b"\xff\xfeh\0e\0l\0l\0o\0 \0w\0o\0r\0l\0d\0",
        b"\xff\xd8\xff\0 what follows is no marker that could stand here",
        b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0",
        b"PK\x03\x04\x14\0\0\0\x08\0",
        b"<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"10\" height=\"10\"></svg>",
    ];
    for other in others {
        assert_eq!(bounded(other, other.len() as u64), None, "{:?}", other.escape_ascii());
    }
    // A text under the first 64 bytes of which a netpbm comment may still go on.
    let comment = [b"P6 # ".as_slice(), &[b'x'; 100], b"\nno numbers here\n"].concat();
    assert!(matches!(kind_of(&comment), Guess::Image(_)));
    assert_eq!(bounded(&comment, comment.len() as u64), None);
}

#[test]
fn an_entry_outside_the_file_makes_no_icon() {
    let mut icon = sample("plain.ico");
    icon[18..22].copy_from_slice(&1_000_000u32.to_le_bytes());
    assert_eq!(bounded(&icon, icon.len() as u64), None);
}

#[test]
fn a_size_of_zero_is_unknown() {
    let mut png = sample("exif.png");
    png[16..20].fill(0);
    let found = bounded(&png, png.len() as u64).unwrap();
    assert_eq!((found.width, found.height), (None, None));
}

#[test]
fn an_impossible_time_is_unknown() {
    for (from, to) in [("2021:07:04", "0000:00:00"), ("2021:07:04", "2021:02:30")] {
        let mut jpeg = sample("exif.jpg");
        let at = jpeg.windows(from.len()).position(|bytes| bytes == from.as_bytes()).unwrap();
        jpeg[at..at + to.len()].copy_from_slice(to.as_bytes());
        assert_eq!(bounded(&jpeg, jpeg.len() as u64).unwrap().taken_at, None);
    }
}

#[test]
fn a_huge_file_costs_as_little_as_a_small_one() {
    // A PNG whose pixels are 2 GiB in one chunk after another, its EXIF never found.
    let mut head = sample("exif.png")[..33].to_vec();
    head.extend_from_slice(b"\x7f\xff\xff\xffIDAT");
    let found = bounded(&head, 4 << 30).unwrap();
    assert_eq!((found.width, found.height), (Some(40), Some(24)));
    // JPEG segments without end: each of two bytes.
    let endless = [b"\xff\xd8".as_slice(), &b"\xff\xe0\0\x02".repeat(1 << 19)].concat();
    let found = bounded(&endless, endless.len() as u64).unwrap();
    assert_eq!(found.width, None);
    // Boxes without end.
    let ftyp = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic";
    let endless = [ftyp.as_slice(), &b"\0\0\0\x08free".repeat(1 << 18)].concat();
    assert_eq!(bounded(&endless, endless.len() as u64).unwrap().width, None);
    // A netpbm comment without end.
    let endless = [b"P6\n#".as_slice(), &[b'x'; 3 << 20]].concat();
    assert_eq!(bounded(&endless, endless.len() as u64), None);
}

#[test]
fn the_disks_fault_is_told() {
    struct Faulty<'a>(Cursor<Vec<u8>>, &'a Cell<u32>);
    impl Read for Faulty<'_> {
        fn read(&mut self, into: &mut [u8]) -> Result<usize> {
            match self.1.get().checked_sub(1) {
                Some(left) => self.1.set(left),
                None => return Err(std::io::Error::other("bad block")),
            }
            self.0.read(into)
        }
    }
    impl Seek for Faulty<'_> {
        fn seek(&mut self, to: SeekFrom) -> Result<u64> {
            self.0.seek(to)
        }
    }
    let content = sample("head.raf");
    let size_bytes = content.len() as u64;
    for reads in 0..2 {
        let mut faulty = Faulty(Cursor::new(content.clone()), &Cell::new(reads));
        assert!(probe(&mut faulty, size_bytes).is_err(), "fault after {reads} reads");
    }
}

proptest! {
    #[test]
    fn any_bytes_are_survived(content: Vec<u8>, size_bytes: u64) {
        bounded(&content, content.len() as u64);
        bounded(&content, size_bytes);
    }

    #[test]
    fn any_change_of_a_sample_is_survived(
        index in 0..SAMPLES.len(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        size_bytes: u64,
    ) {
        let mut content = sample(SAMPLES[index].0);
        for (at, byte) in changes {
            let at = at.index(content.len());
            content[at] = byte;
        }
        bounded(&content, content.len() as u64);
        bounded(&content, size_bytes);
    }

    #[test]
    fn any_bytes_behind_a_magic_are_survived(
        index in 0..SAMPLES.len(),
        keep in 2usize..DECIDING_BYTES,
        rest in prop::collection::vec(any::<u8>(), 0..2048),
    ) {
        let mut content = sample(SAMPLES[index].0);
        content.truncate(keep);
        content.extend(rest);
        bounded(&content, content.len() as u64);
    }
}
