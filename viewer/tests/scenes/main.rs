//! The page as a person meets it, each scene in both engines that people have: the window's own and
//! Chromium. The repository behind it is a real one, and who else is in it has a daemon of their own.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used)] // A test fails so.

/// Each of these scenes as a test in each engine.
macro_rules! in_both_engines {
    ($($scene:ident)*) => { $(
        mod $scene {
            use crate::stage::browser::Engine;

            #[test]
            fn in_chromium() {
                super::$scene(Engine::Chromium);
            }

            #[test]
            fn in_the_window() {
                super::$scene(Engine::Window);
            }
        }
    )* };
}

mod change;
mod hostile;
mod keyboard;
mod live;
mod looks;
mod next;
mod odd;
mod walk;

#[path = "../stage/mod.rs"]
mod stage;

/// WebDriver's own numbers for keys that are no characters (WebDriver, 17.4.2).
mod key {
    pub(crate) const TAB: char = '\u{e004}';
    pub(crate) const ENTER: char = '\u{e007}';
    pub(crate) const SHIFT: char = '\u{e008}';
    pub(crate) const CONTROL: char = '\u{e009}';
    pub(crate) const ESCAPE: char = '\u{e00c}';
    pub(crate) const END: char = '\u{e010}';
    pub(crate) const HOME: char = '\u{e011}';
    pub(crate) const LEFT: char = '\u{e012}';
    pub(crate) const RIGHT: char = '\u{e014}';
    pub(crate) const DOWN: char = '\u{e015}';
    pub(crate) const DELETE: char = '\u{e017}';
    pub(crate) const F2: char = '\u{e032}';
}
