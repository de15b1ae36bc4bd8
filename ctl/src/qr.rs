//! A QR code in a terminal, for a telephone's camera: two modules a character, by half blocks.
//! `people` draws a link so.

use qrcode::{Color, EcLevel, QrCode};

use crate::output::Output;

/// The light border without which a camera does not find a code (ISO/IEC 18004, 6.3.8), in modules.
const QUIET: i32 = 4;

/// The lines of the code of a text; None where it does not fit, or the terminal is too narrow.
pub(crate) fn lines(text: &str, out: &Output) -> Option<Vec<String>> {
    let lines = drawn(text)?;
    let columns = lines.first().map_or(0, |line| line.chars().count());
    // A line that is broken in two makes it unreadable, and everything below it hard to find.
    if terminal_columns().is_some_and(|room| room < columns) {
        return None;
    }
    Some(lines.iter().map(|line| out.light_on_dark(line)).collect())
}

/// The code with what is light drawn and what is dark left out: it is read on a dark terminal even
/// where no colours are used, and by its colours on every other.
fn drawn(text: &str) -> Option<Vec<String>> {
    // The least redundancy: a screen is clean, and a small code is read from further away.
    let code = QrCode::with_error_correction_level(text, EcLevel::L).ok()?;
    let width = i32::try_from(code.width()).ok()?;
    let light = |x: i32, y: i32| {
        let inside = |at: i32| usize::try_from(at).ok().filter(|_| at < width);
        match (inside(x), inside(y)) {
            (Some(x), Some(y)) => code[(x, y)] == Color::Light,
            // The border; also below it, where the last line of characters has half a row to spare.
            _ => true,
        }
    };
    let across = -QUIET..width + QUIET;
    let pair = |x: i32, y: i32| match (light(x, y), light(x, y + 1)) {
        (true, true) => '█',
        (true, false) => '▀',
        (false, true) => '▄',
        (false, false) => ' ',
    };
    let rows = (-QUIET..width + QUIET).step_by(2);
    Some(rows.map(|y| across.clone().map(|x| pair(x, y)).collect()).collect())
}

#[cfg(unix)]
fn terminal_columns() -> Option<usize> {
    let size = rustix::termios::tcgetwinsize(std::io::stdout()).ok()?;
    (size.ws_col > 0).then(|| size.ws_col.into())
}

#[cfg(not(unix))]
fn terminal_columns() -> Option<usize> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_module_stands_where_it_should_with_light_around() {
        let text = "https://photos.example:8765/#c2FtcGxlLXNlY3JldC0x";
        let code = QrCode::with_error_correction_level(text, EcLevel::L).unwrap();
        let lines: Vec<Vec<char>> =
            drawn(text).unwrap().iter().map(|line| line.chars().collect()).collect();
        let width = code.width() + 2 * QUIET as usize;
        assert_eq!(lines.len(), width.div_ceil(2));
        for (y, line) in lines.iter().enumerate() {
            assert_eq!(line.len(), width);
            for (x, glyph) in line.iter().enumerate() {
                for half in 0..2 {
                    let drawn = matches!((glyph, half), ('█', _) | ('▀', 0) | ('▄', 1));
                    let at = |place: usize| place.checked_sub(QUIET as usize);
                    let module = match (at(x), at(2 * y + half)) {
                        (Some(x), Some(y)) if x < code.width() && y < code.width() => code[(x, y)],
                        _ => Color::Light,
                    };
                    assert_eq!(drawn, module == Color::Light, "{x}, {y}, {half}");
                }
            }
        }
    }

    #[test]
    fn what_no_code_holds_is_not_drawn() {
        assert_eq!(drawn(&"x".repeat(4000)), None);
    }
}
