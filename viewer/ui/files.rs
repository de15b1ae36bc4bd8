//! The files of the page, for the programs that have them in them: the window and the server. A file
//! that is not in this list is not there; tests of both compare it with the folder.

/// One of them.
#[derive(Debug)]
pub(crate) struct File {
    /// Its path below `ui/`; `index.html` is the page itself.
    pub(crate) name: &'static str,
    /// Its media type.
    pub(crate) media_type: &'static str,
    /// What it says.
    pub(crate) bytes: &'static [u8],
}

/// What a browser lets the page do: its own scripts, styles and addresses, and pictures that it has
/// drawn itself (placeholders).
pub(crate) const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
    img-src 'self' blob: data:; connect-src 'self'; base-uri 'none'; form-action 'none'; \
    frame-ancestors 'none'";

macro_rules! files {
    ($($name:literal $media_type:literal,)*) => {
        /// All of them.
        pub(crate) const FILES: &[File] = &[$(File {
            name: $name,
            media_type: $media_type,
            bytes: include_bytes!($name),
        }),*];
    };
}

files! {
    "index.html" "text/html; charset=utf-8",
    "panels.css" "text/css; charset=utf-8",
    "single.css" "text/css; charset=utf-8",
    "style.css" "text/css; charset=utf-8",
    "wall.css" "text/css; charset=utf-8",
    "actions.js" "text/javascript; charset=utf-8",
    "api.js" "text/javascript; charset=utf-8",
    "catalog.js" "text/javascript; charset=utf-8",
    "drops.js" "text/javascript; charset=utf-8",
    "events.js" "text/javascript; charset=utf-8",
    "fitted.js" "text/javascript; charset=utf-8",
    "gestures.js" "text/javascript; charset=utf-8",
    "grid.js" "text/javascript; charset=utf-8",
    "host.js" "text/javascript; charset=utf-8",
    "info.js" "text/javascript; charset=utf-8",
    "keys.js" "text/javascript; charset=utf-8",
    "layout.js" "text/javascript; charset=utf-8",
    "main.js" "text/javascript; charset=utf-8",
    "pages.js" "text/javascript; charset=utf-8",
    "part.js" "text/javascript; charset=utf-8",
    "record.js" "text/javascript; charset=utf-8",
    "route.js" "text/javascript; charset=utf-8",
    "search.js" "text/javascript; charset=utf-8",
    "selection.js" "text/javascript; charset=utf-8",
    "single.js" "text/javascript; charset=utf-8",
    "slideshow.js" "text/javascript; charset=utf-8",
    "stage.js" "text/javascript; charset=utf-8",
    "steering.js" "text/javascript; charset=utf-8",
    "texts.js" "text/javascript; charset=utf-8",
    "texts/en.js" "text/javascript; charset=utf-8",
    "texts/pt.js" "text/javascript; charset=utf-8",
    "thumbhash.js" "text/javascript; charset=utf-8",
    "tile.js" "text/javascript; charset=utf-8",
    "tiles.js" "text/javascript; charset=utf-8",
    "toast.js" "text/javascript; charset=utf-8",
    "uploads.js" "text/javascript; charset=utf-8",
    "wall.js" "text/javascript; charset=utf-8",
    "zoom.js" "text/javascript; charset=utf-8",
}
