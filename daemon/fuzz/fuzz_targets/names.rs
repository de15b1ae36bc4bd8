//! Names of images, files and people: what is taken stays as it is when it is taken again, and nothing
//! that is shown or written to a disk can do harm.

#![no_main]

use imgrepo_proto::name::{file_name, is_unsafe_to_show, shown};
use imgrepo_proto::{ImageName, ImageRef, PersonName, Secret};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    if let Ok(name) = ImageName::from_disk(data) {
        assert_eq!(ImageName::parse(name.as_str()).as_ref(), Ok(&name));
        harmless(name.as_str());
    }
    let Ok(text) = std::str::from_utf8(data) else { return };
    let safe = shown(text);
    assert!(!safe.chars().any(is_unsafe_to_show));
    assert_eq!(shown(&safe), safe);
    harmless(text);
    if let Ok(name) = ImageName::parse(text) {
        assert!((1..=255).contains(&name.as_str().len()));
        assert!(!name.as_str().contains(['/', '\\', '\0']) && !matches!(name.as_str(), "." | ".."));
        assert_eq!(ImageName::parse(name.as_str()).as_ref(), Ok(&name));
        assert_eq!(ImageName::from_disk(name.as_str().as_bytes()).as_ref(), Ok(&name));
        assert_eq!(ImageRef::parse(&format!("name:{name}")), Ok(ImageRef::Name(name)));
    }
    if let Ok(name) = PersonName::parse(text) {
        assert!((1..=64).contains(&name.as_str().len()));
        assert_eq!(name.as_str().trim(), name.as_str());
        assert!(!name.as_str().chars().any(char::is_control));
        assert_eq!(PersonName::parse(name.as_str()).as_ref(), Ok(&name));
    }
    if let Ok(secret) = Secret::parse(text) {
        assert_eq!((secret.expose(), format!("{secret:?}").as_str()), (text, "Secret(..)"));
    }
    let _ = ImageRef::parse(text).map(|image| image.to_string());
});

/// The file of this name is one plain file on any system, and writing its name again changes nothing.
fn harmless(name: &str) {
    let file = file_name(name);
    assert!((1..=255).contains(&file.len()), "{file:?}");
    assert!(!file.contains(['/', '\\', '<', '>', ':', '"', '|', '?', '*']), "{file:?}");
    assert!(!file.chars().any(is_unsafe_to_show), "{file:?}");
    assert!(!file.starts_with('.') && !file.ends_with(['.', ' ']), "{file:?}");
    let stem = file.split('.').next().unwrap_or_default().trim_end().to_ascii_uppercase();
    assert!(!matches!(stem.as_str(), "CON" | "PRN" | "AUX" | "NUL" | "COM1" | "LPT9"), "{file:?}");
    assert_eq!(file_name(&file), file);
}
