//! The window itself: the frame, the web view in it, and the loop that carries out what the page and
//! the daemon ask of them. On the main thread, which never waits for anything but its next turn.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::PathBuf;
use std::sync::Arc;

use imgrepo_proto::{ErrorCode, ImageId, ImageRef, Refusal};
use tao::dpi::{LogicalSize, PhysicalPosition};
use tao::event::{ElementState, Event, WindowEvent};
use tao::event_loop::{ControlFlow, EventLoop, EventLoopBuilder};
use tao::keyboard::{Key, ModifiersState};
use tao::window::{Fullscreen, Theme, Window, WindowBuilder};
use wry::{
    DragDropEvent, NewWindowResponse, PermissionResponse, WebContext, WebView, WebViewBuilder,
};

use crate::attached::Standing;
use crate::bridge::{self, Asked, Told};
use crate::door::Door;
use crate::drops::Drops;
use crate::mailbox::{Mailbox, Turn};
use crate::paths::Paths;
use crate::place::{self, Place};
use crate::saving::Saving;

/// The page's own origin: nothing else is ever shown.
const ORIGIN: &str = "imgrepo://localhost/";

/// The longest title: no desktop shows more.
const TITLE_CHARS: usize = 200;

/// What is seen before the page is, in dark and in light: the page's own ground (`--ground`).
const GROUNDS: [(u8, u8, u8, u8); 2] = [(0x16, 0x15, 0x14, 255), (0xf4, 0xf2, 0xee, 255)];

/// The program's picture in the lists of windows.
#[cfg(target_os = "linux")]
const ICON: &[u8] = include_bytes!("../assets/imgrepo-256.png");

/// What the window was started for.
pub(crate) struct Wanted {
    /// The image to begin with.
    pub(crate) image: Option<ImageRef>,
    /// A test drives the page.
    pub(crate) automation: bool,
    /// Where to say that the first picture was painted.
    pub(crate) painted: Option<PathBuf>,
}

/// The loop of turns. Once, on the main thread, after it is known that there is a display.
pub(crate) fn events() -> EventLoop<Turn> {
    EventLoopBuilder::with_user_event().build()
}

/// Opens the window and keeps it; it ends the process when it closes.
///
/// # Errors
/// It cannot be opened.
pub(crate) fn open(
    events: EventLoop<Turn>,
    mailbox: Mailbox,
    standing: Arc<Standing>,
    paths: Paths,
    wanted: Wanted,
) -> Result<(), Refusal> {
    let unopened = |error: &dyn std::error::Error| {
        Refusal::new(ErrorCode::Unsupported, format!("cannot open a window: {error}"))
    };
    let file = place::file(&paths.state);
    let kept = place::read(&file);
    if let Err(message) = &kept {
        mailbox.mention(Told::Failed { message: message.clone() });
    }
    let monitors = events.available_monitors().map(|monitor| {
        let (at, size) = (monitor.position(), monitor.size());
        ((at.x, at.y), (size.width, size.height))
    });
    let mut place = kept.unwrap_or_default().on(&monitors.collect::<Vec<_>>());
    // Of several the largest: on which one it opens is the desktop's to say.
    let sizes = events.available_monitors().map(|monitor| {
        let size = monitor.size().to_logical::<f64>(monitor.scale_factor());
        (size.width, size.height)
    });
    if let Some(largest) =
        sizes.max_by(|one, other| (one.0 * one.1).total_cmp(&(other.0 * other.1)))
    {
        place = place.within(largest);
    }
    let frame = frame(&events, place).map_err(|error| unopened(&error))?;
    let mut context = WebContext::new(Some(paths.cache.join("window")));
    context.set_allows_automation(wanted.automation);
    let door = Door::open(&paths.endpoint, &standing);
    let page = page(&frame, &mut context, door, &mailbox, first(wanted.image.as_ref()));
    let page = page.map_err(|error| unopened(&error))?;
    let open = Open {
        saving: Saving::start(paths.endpoint.clone(), paths.downloads, mailbox.clone()),
        drops: Drops::start(paths.endpoint.clone(), mailbox.clone()),
        is_ready: false,
        pending: None,
        place,
        modifiers: ModifiersState::empty(),
        automation: wanted.automation,
        painted: wanted.painted,
        frame,
        page,
        mailbox,
        file,
    };
    if let Some(image @ (ImageRef::Name(_) | ImageRef::Last)) = wanted.image {
        look_up(paths.endpoint, image, open.mailbox.clone());
    }
    run(events, open, context)
}

/// The address to begin with.
fn first(image: Option<&ImageRef>) -> String {
    match image {
        Some(ImageRef::Id(id)) => format!("{ORIGIN}#/{id}"),
        _ => ORIGIN.to_owned(),
    }
}

/// Finds out which image has this name, and shows it.
fn look_up(endpoint: imgrepo_proto::control::Endpoint, image: ImageRef, mailbox: Mailbox) {
    use imgrepo_proto::control::{Client, Outcome, Request};
    // Not joined: it asks once.
    std::thread::spawn(move || {
        let found = Client::connect(&endpoint, crate::program())
            .and_then(|mut daemon| daemon.call(&Request::Info(image)));
        match found {
            Ok(Outcome::Image(record)) => mailbox.turn(Turn::Show(Some(record.id))),
            Ok(_) => {}
            Err(refusal) => mailbox.tell(Told::Failed { message: refusal.message }),
        }
    });
}

fn frame(events: &EventLoop<Turn>, place: Place) -> Result<Window, tao::error::OsError> {
    let mut builder = WindowBuilder::new()
        .with_title("imgrepo")
        .with_inner_size(LogicalSize::new(place.width, place.height))
        .with_min_inner_size(LogicalSize::new(place::SMALLEST.0, place::SMALLEST.1))
        .with_maximized(place.is_maximized);
    if let Some((x, y)) = place.at {
        builder = builder.with_position(PhysicalPosition::new(x, y));
    }
    let frame = builder.build(events)?;
    frame.set_background_color(Some(ground(&frame)));
    #[cfg(target_os = "linux")]
    {
        use gtk::prelude::GtkWindowExt as _;
        use tao::platform::unix::WindowExtUnix as _;
        let icon = gtk::gdk_pixbuf::Pixbuf::from_read(std::io::Cursor::new(ICON));
        // A window without a picture is a window all the same.
        frame.gtk_window().set_icon(icon.ok().as_ref());
    }
    Ok(frame)
}

/// What the page is given, in the language that people of this system read.
fn given() -> String {
    #[cfg(target_os = "linux")]
    let languages = gtk::glib::language_names();
    #[cfg(not(target_os = "linux"))]
    let languages: Vec<String> = Vec::new();
    bridge::given(languages.iter().map(AsRef::as_ref))
}

fn ground(frame: &Window) -> (u8, u8, u8, u8) {
    match frame.theme() {
        Theme::Light => GROUNDS[1],
        _ => GROUNDS[0],
    }
}

fn page(
    frame: &Window,
    context: &mut WebContext,
    door: Door,
    mailbox: &Mailbox,
    first: String,
) -> wry::Result<WebView> {
    let (asks, drops) = (mailbox.clone(), mailbox.clone());
    let builder = WebViewBuilder::new_with_web_context(context)
        .with_asynchronous_custom_protocol("imgrepo".to_owned(), move |_, request, responder| {
            door.request(request, responder);
        })
        .with_url(first)
        .with_background_color(ground(frame))
        .with_focused(true)
        .with_devtools(cfg!(debug_assertions))
        .with_clipboard(true)
        .with_initialization_script_for_main_only(given(), true)
        .with_ipc_handler(move |request| {
            // Only ever from the page: it cannot navigate elsewhere.
            let is_own = request.uri().to_string().starts_with(ORIGIN);
            if let Some(asked) = Asked::read(request.body()).filter(|_| is_own) {
                asks.turn(Turn::Asked(asked));
            }
        })
        .with_drag_drop_handler(move |event| {
            match event {
                DragDropEvent::Enter { .. } => drops.mention(Told::Drag { over: true }),
                DragDropEvent::Drop { paths, .. } => {
                    drops.mention(Told::Drag { over: false });
                    drops.turn(Turn::Dropped(paths));
                }
                DragDropEvent::Leave => drops.mention(Told::Drag { over: false }),
                _ => {}
            }
            true
        })
        .with_navigation_handler(|url| url.starts_with(ORIGIN))
        .with_new_window_req_handler(|_, _| NewWindowResponse::Deny)
        .with_permission_handler(|_| PermissionResponse::Deny)
        .with_download_started_handler(|_, _| false);
    #[cfg(target_os = "linux")]
    {
        use tao::platform::unix::WindowExtUnix as _;
        use wry::WebViewBuilderExtUnix as _;
        match frame.default_vbox() {
            Some(room) => builder.build_gtk(room),
            None => builder.build(frame),
        }
    }
    #[cfg(not(target_os = "linux"))]
    builder.build(frame)
}

/// An open window.
struct Open {
    frame: Window,
    page: WebView,
    mailbox: Mailbox,
    saving: Saving,
    drops: Drops,
    /// The page listens.
    is_ready: bool,
    /// What it is to show once it does.
    pending: Option<ImageId>,
    /// As it was last while it did not fill the screen.
    place: Place,
    modifiers: ModifiersState,
    automation: bool,
    painted: Option<PathBuf>,
    file: PathBuf,
}

fn run(events: EventLoop<Turn>, mut open: Open, context: WebContext) -> ! {
    events.run(move |event, _, flow| {
        let _ = &context;
        *flow = ControlFlow::Wait;
        let goes_on = match event {
            Event::UserEvent(turn) => open.turn(turn),
            Event::WindowEvent { event, .. } => open.hear(event),
            _ => true,
        };
        if !goes_on {
            // Where it was is all that could be lost, and it says so nowhere.
            let _ = place::write(&open.file, open.place);
            *flow = ControlFlow::Exit;
        }
    })
}

impl Open {
    /// Carries out a turn. False where the window is to close.
    fn turn(&mut self, turn: Turn) -> bool {
        match turn {
            Turn::Look => self.tell(),
            Turn::Show(image) => self.show(image),
            Turn::Dropped(paths) => self.drop(paths),
            Turn::Reload => {
                self.is_ready = false;
                self.run("location.reload()");
            }
            Turn::Asked(asked) => return self.asked(asked),
        }
        true
    }

    fn asked(&mut self, asked: Asked) -> bool {
        match asked {
            Asked::Ready => {
                self.is_ready = true;
                self.tell();
                if let Some(image) = self.pending.take() {
                    self.run(&bridge::script(&[Told::Open { image }]));
                }
            }
            Asked::Title { text } => {
                let text: String =
                    text.chars().filter(|c| !c.is_control()).take(TITLE_CHARS).collect();
                self.frame.set_title(&text);
            }
            Asked::Fullscreen { on } => {
                self.frame.set_fullscreen(on.then_some(Fullscreen::Borderless(None)));
            }
            Asked::Painted { image } => self.report(image),
            Asked::Download { images } => {
                if !self.saving.save(images) {
                    self.refuse("too much is being saved already");
                }
            }
            Asked::Drop { paths } if self.automation => self.drop(paths),
            Asked::Drop { .. } => {}
            Asked::Close => return false,
        }
        true
    }

    /// What happens to the frame. False where it is closed.
    fn hear(&mut self, event: WindowEvent<'_>) -> bool {
        match event {
            WindowEvent::CloseRequested | WindowEvent::Destroyed => return false,
            WindowEvent::Resized(_) | WindowEvent::Moved(_) => self.remember(),
            WindowEvent::ModifiersChanged(modifiers) => self.modifiers = modifiers,
            WindowEvent::KeyboardInput { event, .. } if event.state == ElementState::Pressed => {
                let closes = matches!(event.key_without_modifiers(), Key::Character("w" | "q"));
                return !(closes && self.modifiers.control_key());
            }
            _ => {}
        }
        true
    }

    fn remember(&mut self) {
        self.place.is_maximized = self.frame.is_maximized();
        if self.place.is_maximized || self.frame.fullscreen().is_some() {
            return;
        }
        let size = self.frame.inner_size().to_logical::<f64>(self.frame.scale_factor());
        if size.width >= place::SMALLEST.0 && size.height >= place::SMALLEST.1 {
            (self.place.width, self.place.height) = (size.width, size.height);
        }
        self.place.at = self.frame.outer_position().ok().map(|at| (at.x, at.y));
    }

    fn tell(&mut self) {
        if !self.is_ready {
            return;
        }
        let told = self.mailbox.take();
        if !told.is_empty() {
            self.run(&bridge::script(&told));
        }
    }

    fn show(&mut self, image: Option<ImageId>) {
        self.frame.set_minimized(false);
        self.frame.set_focus();
        match image {
            Some(image) if self.is_ready => self.run(&bridge::script(&[Told::Open { image }])),
            Some(image) => self.pending = Some(image),
            None => {}
        }
    }

    fn drop(&mut self, paths: Vec<PathBuf>) {
        if !self.drops.upload(paths) {
            self.refuse("too much is being uploaded already");
        }
    }

    fn refuse(&self, message: &str) {
        self.mailbox.mention(Told::Failed { message: message.to_owned() });
    }

    fn run(&self, script: &str) {
        // A web view that runs no script shows nothing either, and the system's log says why.
        let _ = self.page.evaluate_script(script);
    }

    fn report(&mut self, image: Option<ImageId>) {
        let Some(path) = self.painted.take() else { return };
        let image = image.map_or_else(|| "all".to_owned(), |image| image.to_string());
        let file = OpenOptions::new().append(true).create(true).open(path);
        // Who measures misses it.
        let _ = file.and_then(|mut file| writeln!(file, "painted {image}"));
    }
}
