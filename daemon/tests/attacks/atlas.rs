//! Names that mean harm, by number: ways out of a folder, devices, what acts on a terminal or turns text
//! around, what is too long, what breaks programs that quote badly. The server's tests and `imgctl`'s
//! share it.

/// What a name is made of.
const BASES: [&str; 66] = [
    "",
    ".",
    "..",
    "...",
    "/",
    "\\",
    "~",
    "../",
    "..\\",
    "../../../../../../etc/passwd",
    "..\\..\\..\\windows\\system32\\drivers\\etc\\hosts",
    "/etc/shadow",
    "//server/share",
    "\\\\?\\C:\\boot.ini",
    "C:\\autoexec.bat",
    "C:evil",
    "file:///etc/passwd",
    "....//....//",
    "..;/",
    "%2e%2e%2f",
    "%252e%252e%252f",
    "..%c0%af",
    "..%ef%bc%8f",
    "．．／",
    "‥",
    "\u{2215}etc",
    "\u{2024}\u{2024}",
    ".ssh/authorized_keys",
    ".bashrc",
    "-rf",
    "--output=/etc/cron.d/x",
    "con",
    "PRN",
    "AuX",
    "NUL",
    "COM1",
    "com¹",
    "LPT9",
    "CONIN$",
    "nul ",
    "a:stream",
    "a.lnk",
    "desktop.ini",
    "$(reboot)",
    "`reboot`",
    ";reboot;",
    "'\"<script>alert(1)</script>",
    "%s%n%x",
    "{{7*7}}",
    "' OR 1=1 --",
    "*?[a-z]",
    "null",
    "@last",
    "name:7",
    "42",
    "\u{1b}[2J\u{1b}[1;1H",
    "\u{1b}]0;title\u{7}",
    "\u{1b}]8;;http://evil\u{1b}\\click",
    "\u{9b}31m",
    "\u{202e}gpj.exe",
    "\u{2066}\u{2067}\u{2069}",
    "a\u{0}b",
    "\r\nstored        1  fake.png",
    "\t\u{b}\u{c}\u{8}\u{8}\u{8}\u{7f}",
    "\u{2028}\u{2029}\u{85}",
    "Z\u{351}\u{310}\u{309}\u{34b}a\u{fffd}\u{feff}\u{10ffff}",
];

/// What it ends with.
const ENDS: [&str; 11] = [
    "",
    ".jpg",
    ".png.",
    ". ",
    "...",
    "/",
    "\\",
    "\u{202e}gpj",
    "\u{0}.png",
    "\u{1b}[0m",
    ":$DATA",
];

/// The name of this number; each of the first 50,000 is another one, or as good as.
pub(crate) fn name(number: usize) -> String {
    let base = BASES[number % BASES.len()];
    let rest = number / BASES.len();
    let end = ENDS[rest % ENDS.len()];
    let rest = rest / ENDS.len();
    let other = BASES[(number * 31 + 7) % BASES.len()];
    match rest % 9 {
        0 => format!("{base}{end}"),
        1 => format!("{base}{rest}{end}"),
        2 => format!("../{rest}/{base}{end}"),
        3 => format!("{base}{other}{rest}{end}"),
        4 => format!("a{rest}/../{base}{end}"),
        // Of 255 bytes and about: whole, in characters of two and four bytes, encoded to three times.
        5 => format!("{base}{}{end}", "x".repeat(250 + rest % 10)),
        6 => format!("{base}{}{end}", "é".repeat(120 + rest % 10)),
        7 => format!("{}{base}{end}", "\u{1b}:".repeat(rest % 130)),
        _ => {
            let noise = blake3::hash(&number.to_be_bytes());
            let wild = noise.as_bytes()[..12].chunks_exact(4).filter_map(|four| {
                let four = u32::from_le_bytes(four.try_into().ok()?);
                char::from_u32(four % if four & 1 == 0 { 0x110_000 } else { 0x100 })
            });
            format!("{base}{}{end}", wild.collect::<String>())
        }
    }
}

/// The first character that acts on a terminal or turns its text around, but for the end of a line.
pub(crate) fn acts(said: &str) -> Option<char> {
    let acts = |c: &char| {
        matches!(c, '\0'..='\u{9}' | '\u{b}'..='\u{1f}' | '\u{7f}'..='\u{9f}' | '\u{61c}'
            | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    said.chars().find(acts)
}
