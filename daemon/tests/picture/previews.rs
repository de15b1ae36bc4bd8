//! Camera files: what is shown is the JPEG that the camera put beside its sensor's values.

use crate::looks::{check, large};

type Entry = (u16, u16, u32);

fn directory(entries: &[Entry], next: u32) -> Vec<u8> {
    let mut bytes = (entries.len() as u16).to_le_bytes().to_vec();
    for (tag, kind, value) in entries {
        bytes.extend(tag.to_le_bytes());
        bytes.extend(kind.to_le_bytes());
        bytes.extend(1u32.to_le_bytes());
        bytes.extend(value.to_le_bytes());
    }
    bytes.extend(next.to_le_bytes());
    bytes
}

/// A TIFF with a small preview at 1000 in its chain, and a large one at 2000 in a directory below.
fn raw(magic: &[u8; 4], first: &[Entry]) -> Vec<u8> {
    let (small, jpeg) = (large("gray.jpg"), large("orientation-1.jpg"));
    let large_at = 1000 + small.len() as u32;
    let first = [first, &[(0x14a, 4, 300)]].concat();
    let mut bytes = magic.to_vec();
    bytes.extend(16u32.to_le_bytes());
    bytes.resize(16, 0);
    bytes.extend(directory(&first, 500));
    bytes.resize(300, 0);
    let below = [(0x103, 3, 7), (0x111, 4, large_at), (0x117, 4, jpeg.len() as u32)];
    bytes.extend(directory(&below, 0));
    bytes.resize(500, 0);
    bytes.extend(directory(&[(0x201, 4, 1000), (0x202, 4, 10)], 0));
    bytes.resize(1000, 0);
    bytes.extend(small);
    bytes.extend(jpeg);
    bytes
}

#[test]
fn the_largest_preview_of_a_raw_is_shown() {
    let sensor = [(0xfe, 4, 0), (0x100, 4, 6000), (0x101, 4, 4000), (0x106, 3, 32_803)];
    let dng = raw(b"II*\0", &[&sensor[..], &[(0xc612, 1, 0x0000_0401)]].concat());
    check(&dng, "dng", "look", 2.5, "image/jpeg");
    check(&raw(b"IIRO", &sensor), "orf", "look", 2.5, "image/jpeg");
}

#[test]
fn a_preview_stands_upright_as_its_file_says() {
    // Stored as orientation 6 has it, and said by the file alone.
    let jpeg = large("orientation-6.jpg");
    let entries =
        [(0x100, 4, 6000), (0x101, 4, 4000), (0x106, 3, 32_803), (0x112, 3, 6), (0xc612, 1, 0x401)];
    let mut bytes = b"II*\0\x10\0\0\0".to_vec();
    bytes.resize(16, 0);
    let places = [(0x201, 4, 1000), (0x202, 4, jpeg.len() as u32)];
    bytes.extend(directory(&[&entries[..], &places].concat(), 0));
    bytes.resize(1000, 0);
    bytes.extend(jpeg);
    check(&bytes, "dng", "look", 2.5, "image/jpeg");
}

#[test]
fn fujis_and_canons_previews_are_found() {
    let jpeg = large("baseline.jpg");
    let mut raf = b"FUJIFILMCCD-RAW 0201".to_vec();
    raf.resize(84, 0);
    raf.extend(200u32.to_be_bytes());
    raf.extend((jpeg.len() as u32).to_be_bytes());
    raf.resize(200, 0);
    raf.extend(&jpeg);
    raf.extend([0x55; 5000]);
    check(&raf, "raf", "look", 2.5, "image/jpeg");

    let boxed = |name: &[u8; 4], inner: &[u8]| {
        [&(8 + inner.len() as u32).to_be_bytes()[..], name, inner].concat()
    };
    let preview = boxed(b"PRVW", &[&[0; 16], &jpeg[..]].concat());
    let uuid = b"\xea\xf4\x2b\x5e\x1c\x98\x4b\x88\xb9\xfb\xb7\xdc\x40\x6e\x4d\x16";
    let preview = boxed(b"uuid", &[&uuid[..], &[0; 8], &preview].concat());
    let cr3 = [boxed(b"ftyp", b"crx \0\0\0\x01crx isom"), boxed(b"moov", b""), preview].concat();
    check(&cr3, "cr3", "look", 2.5, "image/jpeg");
}
