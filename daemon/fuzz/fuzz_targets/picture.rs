//! What is read of an image without decoding it: its kind, its size, its EXIF, the preview in a RAW, its
//! end. Whatever the bytes are, the answer is one that can be.

#![no_main]

use std::io::Cursor;

use imgrepod::repository::picture::{DECIDING_BYTES, Guess, Kind, ending_of, exif, kind_of, probe};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let size = data.len() as u64;
    let first = &data[..data.len().min(DECIDING_BYTES)];
    let guess = kind_of(first);
    // What is decided stays so, however the bytes come in; but a plain PNM is one for as long as digits
    // follow.
    for cut in 0..first.len() {
        match kind_of(&first[..cut]) {
            Guess::NeedMore => {}
            Guess::Image(Kind::Pnm(1..=3)) if guess == Guess::NotAnImage => {}
            early => assert_eq!(early, guess, "after {cut} bytes"),
        }
    }
    let found = probe(&mut Cursor::new(data), size).expect("memory has no faults");
    let told = exif(&mut Cursor::new(data), size).expect("memory has no faults");
    let Guess::Image(kind) = guess else {
        assert!(found.is_none() && told.is_none());
        return;
    };
    let _ = ending_of(&mut Cursor::new(data), size, kind).expect("memory has no faults");
    if let Some(found) = found {
        assert!((1..=8).contains(&found.orientation));
        assert!(
            found.width.is_none_or(|width| width > 0)
                && found.height.is_none_or(|height| height > 0)
        );
        assert_eq!(found.width.is_some(), found.height.is_some());
        assert!(found.media_type.starts_with("image/"));
        if let Some(taken) = &found.taken_at {
            let is_time = taken.parse::<jiff::Timestamp>().is_ok()
                || taken.parse::<jiff::civil::DateTime>().is_ok();
            assert!(is_time && taken.len() <= 25, "{taken}");
        }
    }
    if let Some(told) = told {
        assert!(told.latitude.is_none_or(|degrees| degrees.abs() <= 90.0));
        assert!(told.longitude.is_none_or(|degrees| degrees.abs() <= 180.0));
        assert!(told.altitude_m.is_none_or(f64::is_finite));
        let numbers = [told.exposure_seconds, told.f_number, told.focal_length_mm];
        assert!(numbers.into_iter().flatten().all(|number| number > 0.0 && number.is_finite()));
        let texts =
            [told.make, told.model, told.lens, told.artist, told.copyright, told.description];
        assert!(texts.into_iter().flatten().all(|text| !text.is_empty() && text.len() <= 200));
    }
});
