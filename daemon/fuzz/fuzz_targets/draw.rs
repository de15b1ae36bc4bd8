//! The making of pictures, in this process and not in the child that bears it in earnest: what our own
//! code does with whatever the decoders give. A decoder that panics is what the child is for, and no
//! finding; a panic of ours, an answer that is not believed, or one without bounds is.

#![no_main]

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook};

use imgrepo_proto::session::view::Variant;
use imgrepod::repository::picture::fuzzing::render_here;
use imgrepod::repository::picture::{DECIDING_BYTES, Guess, Order, Unshown, kind_of};
use libfuzzer_sys::fuzz_target;

thread_local! {
    /// Whether the last panic was in a crate that is not ours.
    static STRANGE: Cell<bool> = const { Cell::new(false) };
}

fuzz_target!(
    init: {
        set_hook(Box::new(|panic| {
            // The registry's sources lie below `registry/src`.
            let place = panic.location().map_or("", |place| place.file());
            let strange = place.contains("registry/src") || place.starts_with("/rustc/");
            STRANGE.set(strange);
            if !strange {
                eprintln!("{panic}");
            }
        }));
    },
    |data: &[u8]| {
        let Guess::Image(kind) = kind_of(&data[..data.len().min(DECIDING_BYTES)]) else { return };
        let variants = vec![Variant::Medium, Variant::Small];
        let order = Order { kind, variants, placeholder: true, is_background: false };
        match catch_unwind(AssertUnwindSafe(|| render_here(&order, data))) {
            Ok(Ok(made)) => {
                assert!(made.placeholder.is_some_and(|text| text.len() <= 34));
                assert_eq!(made.pictures.len(), 2);
            }
            Ok(Err(Unshown::NotViewable(why))) => assert!(!why.contains("nonsense"), "{why}"),
            Ok(Err(Unshown::Passing(fault))) => panic!("{fault}"),
            Err(_) => assert!(STRANGE.get(), "a panic of our own"),
        }
    }
);
