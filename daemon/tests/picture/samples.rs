//! The small samples of all kinds: each has its pictures, or a sentence why not.

use imgrepo_proto::session::view::Variant;

use crate::support::{all, picture, refusal, sample};

#[test]
fn every_kind_has_its_pictures() {
    let names = [
        "plain.gif",
        "exif.png",
        "exif.jpg",
        "exif.webp",
        "plain.bmp",
        "plain.tif",
        "plain.qoi",
        "plain.ppm",
        "plain.pgm",
        "plain.pbm",
        "plain.pam",
        "ascii.ppm",
        "plain.ico",
    ];
    for name in names {
        let made = all(&sample(name)).unwrap_or_else(|why| panic!("{name}: {why}"));
        for variant in Variant::ALL {
            let picture = picture(&made, variant);
            assert!(picture.width <= 40 && picture.height <= 24, "{name}");
        }
    }
}

#[test]
fn what_has_no_picture_says_which_kind_has_none() {
    for (name, kind) in [
        ("exif.heic", "HEIC"),
        ("exif.avif", "AVIF"),
        ("plain.jxl", "JPEG XL"),
        ("exif.jxl", "JPEG XL"),
        ("head.crw", "CRW"),
        ("head.nef", "NEF"),
    ] {
        let why = refusal(&sample(name));
        assert!(why.contains(kind) && why.contains("no preview"), "{name}: {why}");
    }
}
