//! The pictures of the demo: those that the program brings, or the person's own.

use std::fs;
use std::path::{Path, PathBuf};

use imgrepo_proto::Refusal;

use crate::failure::file_error;

/// Names and contents.
const PICTURES: [(&str, &[u8]); 3] = [
    ("coffee.png", include_bytes!("../../../assets/coffee.png")),
    ("hubble.jpg", include_bytes!("../../../assets/hubble.jpg")),
    ("rocket.jpg", include_bytes!("../../../assets/rocket.jpg")),
];

/// The folder to upload, as it is called from `root`: the person's own, else one there with the
/// pictures of the program.
pub(super) fn folder(own: Option<&Path>, root: &Path) -> Result<PathBuf, Refusal> {
    if let Some(own) = own {
        return std::path::absolute(own).map_err(|error| file_error("find", own, &error));
    }
    let name = PathBuf::from("pictures");
    let folder = root.join(&name);
    let written = fs::create_dir(&folder).and_then(|()| {
        PICTURES.iter().try_for_each(|(name, content)| fs::write(folder.join(name), content))
    });
    written.map_err(|error| file_error("write", &folder, &error))?;
    Ok(name)
}
