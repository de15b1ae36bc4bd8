//! Values as people read them: sizes, times, and columns that stand under each other whatever the
//! script. Pure.

use std::path::Path;

use imgrepo_proto::name::shown;
pub(crate) use imgrepo_proto::size;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use unicode_width::UnicodeWidthStr as _;

/// What stands where nothing is known.
pub(crate) const UNKNOWN: &str = "-";

/// A size that may not be known.
pub(crate) fn known_size(bytes: Option<u64>) -> String {
    bytes.map_or_else(|| UNKNOWN.to_owned(), size)
}

/// A time in the person's own zone: `2026-11-23 06:20`.
pub(crate) fn minute(at: Option<Timestamp>) -> String {
    in_zone(at, "%Y-%m-%d %H:%M")
}

/// A time in the person's own zone, to the second.
pub(crate) fn second(at: Option<Timestamp>) -> String {
    in_zone(at, "%Y-%m-%d %H:%M:%S")
}

fn in_zone(at: Option<Timestamp>, format: &str) -> String {
    at.map_or_else(
        || UNKNOWN.to_owned(),
        |at| at.to_zoned(TimeZone::system()).strftime(format).to_string(),
    )
}

/// A text of someone else, or what stands for none.
pub(crate) fn text(text: Option<&str>) -> String {
    text.map_or_else(|| UNKNOWN.to_owned(), shown)
}

/// A path as text, whatever its bytes: for documents.
pub(crate) fn lossy(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

/// A path as people see it.
pub(crate) fn path(path: &Path) -> String {
    shown(&path.to_string_lossy())
}

/// On which side of a column the room is left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Align {
    /// Words.
    Left,
    /// Numbers.
    Right,
}

/// Rows in columns, two spaces between them. The last column is not padded, so a long name there
/// pulls nothing apart. Cells must be safe to show already.
pub(crate) fn columns(aligns: &[Align], rows: &[Vec<String>]) -> Vec<String> {
    let width =
        |at: usize| rows.iter().filter_map(|row| row.get(at)).map(|cell| cell.width()).max();
    let widths: Vec<usize> = (0..aligns.len()).map(|at| width(at).unwrap_or_default()).collect();
    let line = |row: &Vec<String>| {
        let mut line = String::new();
        for (at, cell) in row.iter().enumerate() {
            let room = widths.get(at).copied().unwrap_or_default().saturating_sub(cell.width());
            let right = aligns.get(at) == Some(&Align::Right);
            if at > 0 {
                line += "  ";
            }
            if right {
                line += &" ".repeat(room);
            }
            line += cell;
            if !right && at + 1 < row.len() {
                line += &" ".repeat(room);
            }
        }
        line
    };
    rows.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_go_by_the_width_that_a_terminal_gives() {
        let row = |cells: &[&str]| cells.iter().map(|cell| (*cell).to_owned()).collect::<Vec<_>>();
        let rows = [row(&["1", "写真", "a"]), row(&["12", "ana", "bb"])];
        let lines = columns(&[Align::Right, Align::Left, Align::Left], &rows);
        assert_eq!(lines, [" 1  写真  a", "12  ana   bb"]);
    }
}
