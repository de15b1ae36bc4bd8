//! Contents made to do harm, and children that lie. Each costs one process and nothing else.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use imgrepo_proto::session::view::Variant;
use imgrepod::repository::picture::{Unshown, render};

use crate::looks::large;
use crate::support::{IMGREPOD, all, by, kind, refusal, sample};

fn chunk(name: &[u8; 4], data: &[u8]) -> Vec<u8> {
    let mut bytes = (data.len() as u32).to_be_bytes().to_vec();
    bytes.extend(name);
    bytes.extend(data);
    let crc = bytes[4..].iter().fold(!0u32, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg())
        })
    });
    bytes.extend((!crc).to_be_bytes());
    bytes
}

/// A PNG of eight bits of gray, with these chunks between its header and its end.
fn png(width: u32, height: u32, chunks: &[Vec<u8>]) -> Vec<u8> {
    let header = [&width.to_be_bytes()[..], &height.to_be_bytes(), &[8, 0, 0, 0, 0]].concat();
    let mut bytes = b"\x89PNG\r\n\x1a\n".to_vec();
    bytes.extend(chunk(b"IHDR", &header));
    bytes.extend(chunks.concat());
    bytes.extend(chunk(b"IEND", b""));
    bytes
}

/// Zlib's stream of so many zeros times 258: thirteen bits each.
fn zeros(times: usize) -> Vec<u8> {
    let mut bytes = vec![0x78, 0x9c];
    let (mut held, mut count) = (0u64, 0);
    let mut put = |code: u64, len: u32| {
        held |= code << count;
        count += len;
        while count >= 8 {
            bytes.push(held as u8);
            held >>= 8;
            count -= 8;
        }
    };
    // The last block, of fixed codes: a zero, then as often the longest copy of it.
    put(0b011, 3);
    put(0b0000_1100, 8);
    for _ in 0..times {
        put(0b1010_0011, 8);
        put(0, 5);
    }
    put(0, 7);
    put(0, 8);
    bytes
}

#[test]
fn too_many_pixels_are_refused_by_the_header() {
    let mut gif = sample("plain.gif");
    gif[6..10].fill(0xff);
    let mut jpeg = large("progressive.jpg");
    let frame = jpeg.windows(2).position(|mark| mark == [0xff, 0xc2]).unwrap();
    jpeg[frame + 5..frame + 9].fill(0xff);
    let mut webp = b"RIFF\x16\0\0\0WEBPVP8X\x0a\0\0\0\x02\0\0\0".to_vec();
    webp.extend([0xff, 0xff, 0, 0xff, 0xff, 0]);
    for (name, content) in
        [("png", png(50_000, 50_000, &[chunk(b"IDAT", &zeros(100))])), ("gif", gif), ("jpeg", jpeg)]
    {
        let why = refusal(&content);
        assert!(why.contains("100 megapixels"), "{name}: {why}");
    }
    refusal(&webp);
}

#[test]
fn too_much_memory_is_refused() {
    // 99 megapixels, the coefficients of which are all kept.
    let mut jpeg = large("progressive.jpg");
    let frame = jpeg.windows(2).position(|mark| mark == [0xff, 0xc2]).unwrap();
    jpeg[frame + 5..frame + 9].copy_from_slice(&[0x26, 0xac, 0x27, 0x10]);
    // 64 megapixels of four bytes.
    let mut gif = sample("plain.gif");
    gif[6..10].copy_from_slice(&[0x40, 0x1f, 0x40, 0x1f]);
    // A profile of 500 MB, in 3.
    let bomb = [b"p\0\0".as_slice(), &zeros(2_000_000)].concat();
    let profile = png(
        1,
        1,
        &[chunk(b"iCCP", &bomb), chunk(b"IDAT", b"\x78\x01\x01\x02\0\xfd\xff\0\0\0\x02\0\x01")],
    );
    for (name, content) in [("jpeg", jpeg), ("gif", gif)] {
        let why = refusal(&content);
        assert!(why.contains("memory"), "{name}: {why}");
    }
    // Shown without it, or refused; but not decoded at all cost.
    if let Err(why) = all(&profile) {
        assert!(matches!(why, Unshown::NotViewable(_)), "{why}");
    }
}

#[test]
fn a_large_picture_of_few_bytes_is_shown() {
    // 90 megapixels of black in 120 KB: a bomb to some, a scan of a black page to others.
    let content = png(9_999, 9_000, &[chunk(b"IDAT", &zeros(10_000 * 9_000 / 258 + 1))]);
    match all(&content) {
        Ok(made) => assert_eq!(made.pictures.len(), 3),
        Err(Unshown::NotViewable(_)) => {}
        Err(passing) => panic!("{passing}"),
    }
}

#[test]
fn strips_that_lie_are_refused_or_shown() {
    for (from, to) in
        [(0x111, u32::MAX), (0x117, u32::MAX), (0x116, 1), (0x100, 60_000), (0x101, u32::MAX)]
    {
        let mut tiff = sample("plain.tif");
        let at = u32::from_le_bytes(*tiff[4..].first_chunk().unwrap()) as usize;
        let count = usize::from(u16::from_le_bytes(*tiff[at..].first_chunk().unwrap()));
        let entries = (0..count).map(|entry| at + 2 + 12 * entry);
        let lied =
            entries.into_iter().find(|entry| tiff[*entry..*entry + 2] == u16::to_le_bytes(from));
        let lied = lied.unwrap();
        tiff[lied + 8..lied + 12].copy_from_slice(&to.to_le_bytes());
        if let Err(why) = all(&tiff) {
            assert!(matches!(why, Unshown::NotViewable(_)), "{from:#x}: {why}");
        }
    }
}

#[test]
fn a_decoder_that_would_take_hours_is_ended() {
    // A progressive JPEG of 36 megapixels, and scan after scan in which every block is looked at.
    let mut jpeg = b"\xff\xd8\xff\xdb\0\x43\0".to_vec();
    jpeg.extend([1; 64]);
    jpeg.extend(b"\xff\xc2\0\x0b\x08\x17\x70\x17\x70\x01\x01\x11\0");
    // One code of one bit: no coefficient.
    jpeg.extend(b"\xff\xc4\0\x14\0\x01\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0");
    jpeg.extend(b"\xff\xda\0\x08\x01\x01\0\0\0\0".repeat(50_000));
    let why = refusal(&jpeg);
    assert!(why.contains("too long"), "{why}");
}

#[test]
fn broken_images_are_shown_or_refused_and_never_passing() {
    let names = [
        "baseline.jpg",
        "progressive.jpg",
        "cmyk.jpg",
        "profile.png",
        "palette-seen.png",
        "still.gif",
        "animated.webp",
        "lossless.webp",
        "icon.ico",
        "orientation-6.tif",
        "look.bmp",
    ];
    // A fixed walk: a failure comes again.
    let mut seed = 0x2545_f491_4f6c_dd1d_u64;
    for name in names {
        for _ in 0..4 {
            let mut content = large(name);
            for _ in 0..6 {
                seed ^= seed << 13;
                seed ^= seed >> 7;
                seed ^= seed << 17;
                // Most of it in the headers.
                let within = if seed & 1 == 0 { content.len() } else { content.len().min(700) };
                let at = 64 + (seed >> 8) as usize % (within - 64);
                content[at] = (seed >> 40) as u8;
            }
            if let Err(why) = all(&content) {
                assert!(matches!(why, Unshown::NotViewable(_)), "{name}: {why}");
            }
        }
    }
}

/// A program that answers with these bytes, whatever it is asked.
fn liar(answer: &[u8]) -> (tempfile::TempDir, PathBuf) {
    let place = tempfile::tempdir().unwrap();
    let (program, words) = (place.path().join("liar"), place.path().join("answer"));
    fs::write(&words, answer).unwrap();
    let lines = format!("#!/bin/sh\ncat > /dev/null\nexec cat {}\n", words.display());
    fs::write(&program, lines).unwrap();
    fs::set_permissions(&program, PermissionsExt::from_mode(0o700)).unwrap();
    (place, program)
}

/// An answer of one picture, as the real child writes it.
fn answer(format: u8, width: u32, height: u32, bytes: &[u8]) -> Vec<u8> {
    let mut answer = vec![3, 0, 5, 1, 1, 2, 3, 4, 5, format];
    for number in [width, height, bytes.len() as u32] {
        answer.extend(number.to_le_bytes());
    }
    answer.extend(bytes);
    answer
}

#[test]
fn an_answer_that_lies_is_not_believed() {
    let png = sample("exif.png");
    let truth = answer(2, 40, 24, &png);
    let html = b"<script>alert(1)</script>";
    let lies = [
        ("nothing of the format", answer(2, 40, 24, html)),
        ("another format", answer(1, 40, 24, &png)),
        ("another size", answer(2, 41, 24, &png)),
        ("too large a size", answer(2, 300, 24, &large("rgb.png"))),
        ("the content itself", answer(4, 40, 24, b"")),
        ("no format", answer(9, 40, 24, &png)),
        ("a length without bytes", answer(2, 40, 24, &png)[..22].to_vec()),
        ("a long length", [&answer(2, 40, 24, b"")[..18], &[0xff; 4]].concat()),
        ("more", [truth.clone(), vec![0]].concat()),
        ("no placeholder", [&[3, 0, 0, 1], &truth[9..]].concat()),
        ("a long placeholder", [&[3, 0, 200, 1], &truth[9..]].concat()),
        ("no such fault", vec![3, 77, 0, 0]),
    ];
    let content = sample("exif.jpg");
    let (_place, honest) = liar(&truth);
    by(&honest, &content, &[Variant::Small]).unwrap();
    for (what, lie) in lies {
        let (_place, program) = liar(&lie);
        assert!(by(&program, &content, &[Variant::Small]).is_err(), "{what}");
    }
}

#[test]
fn what_is_not_the_contents_fault_passes() {
    let passing = |made| assert!(matches!(made, Err(Unshown::Passing(_))));
    let content = sample("exif.jpg");
    passing(by("/no/such/program".as_ref(), &content, &[]));
    let (_place, silent) = liar(b"");
    passing(by(&silent, &content, &[]));
    // The disk's fault, and a content that is shorter than it was said to be.
    let order = imgrepod::repository::picture::Order {
        kind: kind(&content),
        variants: vec![Variant::Small],
        placeholder: false,
        is_background: true,
    };
    let failing = &mut |_: &mut [u8], _| Err(std::io::Error::other("bad block"));
    passing(render(IMGREPOD.as_ref(), &order, 1000, failing));
    let short = &mut |into: &mut [u8], at: u64| {
        let part = content.get(at as usize..).unwrap_or_default();
        let part = part.get(..into.len()).ok_or(std::io::ErrorKind::UnexpectedEof)?;
        into.copy_from_slice(part);
        Ok(())
    };
    passing(render(IMGREPOD.as_ref(), &order, 1 << 20, short));
}

#[test]
fn no_child_and_no_descriptor_is_left() {
    let open = || fs::read_dir("/proc/self/fd").unwrap().count();
    let before = open();
    for content in [large("baseline.jpg"), large("rgb.png")[..60].to_vec()] {
        for _ in 0..3 {
            let _ = all(&content);
        }
    }
    let (_place, program) = liar(b"nonsense");
    let _ = by(&program, &sample("exif.jpg"), &[Variant::Small]);
    // Where each test is a process of its own nothing else is there; elsewhere others come and go.
    if std::env::var_os("NEXTEST").is_some() {
        assert_eq!(open(), before);
        let gone = rustix::process::waitpid(None, rustix::process::WaitOptions::NOHANG);
        assert_eq!(gone.err(), Some(rustix::io::Errno::CHILD));
    }
}
