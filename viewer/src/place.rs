//! Where the window was and how large, kept in `window.json` between two of its lives. What cannot
//! be read is kept aside and said; what fits no monitor any more is left out. Called by `window`.

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// The version of the file.
const VERSION: u32 = 1;

/// The longest file that is read: ours has a hundred bytes.
const FILE_BYTES: u64 = 4096;

/// Smaller than this the page has no room.
pub(crate) const SMALLEST: (f64, f64) = (320.0, 240.0);

/// No monitor is larger.
const LARGEST: f64 = 16_384.0;

/// How much of a window's top must be on a monitor, in pixels, for a hand to reach it.
const REACHABLE_PX: i32 = 48;

/// Size in logical pixels, place in the pixels of the desktop.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct Place {
    /// Of the content, without the frame.
    pub(crate) width: f64,
    /// Likewise.
    pub(crate) height: f64,
    /// Of the frame's corner; not known everywhere.
    pub(crate) at: Option<(i32, i32)>,
    /// Whether it fills the monitor; size and place are then what it goes back to.
    pub(crate) is_maximized: bool,
}

impl Default for Place {
    /// Four thumbnails in a row and three rows, and on the smallest laptop still a window.
    fn default() -> Self {
        Place { width: 1180.0, height: 780.0, at: None, is_maximized: false }
    }
}

#[derive(Serialize, Deserialize)]
struct Kept {
    v: u32,
    #[serde(flatten)]
    place: Place,
}

/// A monitor: its corner, its width and its height, in the pixels of the desktop.
pub(crate) type Monitor = ((i32, i32), (u32, u32));

/// The file of this state directory.
pub(crate) fn file(state: &Path) -> PathBuf {
    state.join("window.json")
}

/// What was kept; the default where nothing was. The error is that it cannot be read, and then the
/// file is kept aside.
pub(crate) fn read(path: &Path) -> Result<Place, String> {
    let mut text = String::new();
    let read = File::open(path).and_then(|file| file.take(FILE_BYTES).read_to_string(&mut text));
    match read {
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Place::default()),
        Err(error) => return Err(format!("cannot read `{}`: {error}", path.display())),
    }
    let kept = serde_json::from_str::<Kept>(&text).ok().filter(|kept| kept.v == VERSION);
    match kept.map(|kept| kept.place).filter(is_sensible) {
        Some(place) => Ok(place),
        None => {
            let aside = path.with_extension("json.unread");
            let moved = std::fs::rename(path, &aside);
            let (path, aside) = (path.display(), aside.display());
            Err(match moved {
                Ok(()) => format!("`{path}` is not of this version; it is kept as `{aside}`"),
                Err(error) => format!("`{path}` is not of this version, and stays: {error}"),
            })
        }
    }
}

fn is_sensible(place: &Place) -> bool {
    let fits = |size: f64, least: f64| (least..=LARGEST).contains(&size);
    fits(place.width, SMALLEST.0) && fits(place.height, SMALLEST.1)
}

/// Keeps it, whole or not at all.
pub(crate) fn write(path: &Path, place: Place) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder)?;
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    let text = serde_json::to_string(&Kept { v: VERSION, place })?;
    file.write_all(text.as_bytes())?;
    // Not synced: what a power cut takes is where a window was.
    file.persist(path).map_err(|error| error.error)?;
    Ok(())
}

impl Place {
    /// No wider and no higher than this monitor, in logical pixels: one that a larger monitor had, or the
    /// default on a small one, would hang over its edge.
    pub(crate) fn within(mut self, (width, height): (f64, f64)) -> Place {
        self.width = self.width.min(width).max(SMALLEST.0);
        self.height = self.height.min(height).max(SMALLEST.1);
        self
    }

    /// Without its place where that is on none of these monitors.
    pub(crate) fn on(mut self, monitors: &[Monitor]) -> Place {
        let is_reachable = |(x, y): (i32, i32)| {
            monitors.iter().any(|((left, top), (width, height))| {
                let edge = |from: i32, size: u32| from.saturating_add_unsigned(size);
                let right = x.saturating_add(self.width as i32);
                right >= left.saturating_add(REACHABLE_PX)
                    && x <= edge(*left, *width).saturating_sub(REACHABLE_PX)
                    && y >= *top
                    && y <= edge(*top, *height).saturating_sub(REACHABLE_PX)
            })
        };
        self.at = self.at.filter(|at| is_reachable(*at));
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEPT: Place =
        Place { width: 900.5, height: 700.0, at: Some((40, -3)), is_maximized: true };

    #[test]
    fn it_is_kept_and_read_again() {
        let state = tempfile::tempdir().unwrap();
        let path = file(&state.path().join("not/there/yet"));
        assert_eq!(read(&path), Ok(Place::default()));
        write(&path, KEPT).unwrap();
        assert_eq!(read(&path), Ok(KEPT));
        // As the first version wrote it.
        let frozen = r#"{"v":1,"width":900.5,"height":700.0,"at":[40,-3],"is_maximized":true}"#;
        assert_eq!(std::fs::read_to_string(&path).unwrap(), frozen);
    }

    #[test]
    fn what_makes_no_sense_is_kept_aside_and_said() {
        let state = tempfile::tempdir().unwrap();
        let path = file(state.path());
        let nan = r#"{"v":1,"width":null,"height":700.0,"at":null,"is_maximized":false}"#;
        let future = r#"{"v":2,"width":900.0,"height":700.0,"at":null,"is_maximized":false}"#;
        let tiny = r#"{"v":1,"width":1.0,"height":700.0,"at":null,"is_maximized":false}"#;
        let huge = r#"{"v":1,"width":1e9,"height":700.0,"at":null,"is_maximized":false}"#;
        for bad in ["", "{", "[]", nan, future, tiny, huge] {
            std::fs::write(&path, bad).unwrap();
            assert!(read(&path).unwrap_err().contains("window.json.unread"), "{bad}");
            assert_eq!(std::fs::read_to_string(path.with_extension("json.unread")).unwrap(), bad);
            assert_eq!(read(&path), Ok(Place::default()), "it is out of the way");
        }
    }

    #[test]
    fn it_is_no_larger_than_a_monitor() {
        let size = |place: Place| (place.width, place.height);
        assert_eq!(size(KEPT.within((1920.0, 1080.0))), (900.5, 700.0));
        assert_eq!(size(Place::default().within((1366.0, 768.0))), (1180.0, 768.0));
        assert_eq!(size(KEPT.within((640.0, 400.0))), (640.0, 400.0));
        assert_eq!(size(KEPT.within((0.0, 0.0))), SMALLEST);
    }

    #[test]
    fn a_monitor_that_is_gone_takes_the_place_with_it() {
        let monitors = [((0, 0), (1920, 1080)), ((1920, 200), (1280, 1024))];
        let at = |at| Place { at: Some(at), ..KEPT }.on(&monitors).at;
        for seen in [(0, 0), (-800, 10), (1872, 1000), (2000, 250), (3100, 1100)] {
            assert_eq!(at(seen), Some(seen));
        }
        for lost in [(-900, 10), (10, -5), (10, 1070), (3190, 300), (i32::MAX, i32::MIN)] {
            assert_eq!(at(lost), None, "{lost:?}");
        }
        assert_eq!(KEPT.on(&[]).at, None);
    }
}
