//! The page that Prometheus reads: its text format, version 0.0.4. Written by the server's door from one
//! family of figures to the next; keeps each family together, with what it means before its values.

use std::fmt::Write as _;

use super::Histogram;

/// The page's media type.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// How a figure behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// It only grows, and begins at 0 with the process.
    Counter,
    /// It rises and falls.
    Gauge,
}

/// A page that is being written.
#[derive(Debug, Default)]
pub struct Page {
    text: String,
}

/// A figure's labels: which, and what they say.
pub type Labels<'a> = &'a [(&'a str, &'a str)];

impl Page {
    /// One with nothing on it.
    #[must_use]
    pub fn new() -> Page {
        Page::default()
    }

    /// A figure that has one value.
    pub fn figure(&mut self, name: &str, kind: Kind, help: &str, value: f64) {
        self.family(name, kind, help, [(&[][..], value)]);
    }

    /// A figure with a value for each of these labels; nothing where there is none.
    pub fn family<'a>(
        &mut self,
        name: &str,
        kind: Kind,
        help: &str,
        values: impl IntoIterator<Item = (Labels<'a>, f64)>,
    ) {
        let word = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
        };
        let mut values = values.into_iter().peekable();
        if values.peek().is_some() {
            self.head(name, word, help);
        }
        for (labels, value) in values {
            self.line(name, labels, None, value);
        }
    }

    /// Histograms of one name, each with its labels. `unit` of them are one on the page: 1,000,000 where
    /// microseconds are counted and seconds are told.
    pub fn histograms<'a>(
        &mut self,
        name: &str,
        help: &str,
        unit: f64,
        histograms: impl IntoIterator<Item = (Labels<'a>, &'a Histogram)>,
    ) {
        let mut histograms = histograms.into_iter().peekable();
        if histograms.peek().is_some() {
            self.head(name, "histogram", help);
        }
        let [bucket, sum, count] = ["bucket", "sum", "count"].map(|end| format!("{name}_{end}"));
        for (labels, histogram) in histograms {
            // In one pass: what is counted meanwhile must not make a bucket larger than one above it.
            let mut total = 0;
            for (at, counted) in histogram.buckets.iter().enumerate() {
                total += counted.get();
                let most = histogram.bounds.get(at).map(|most| *most as f64 / unit);
                self.line(&bucket, labels, Some(most.unwrap_or(f64::INFINITY)), total as f64);
            }
            self.line(&sum, labels, None, histogram.sum.get() as f64 / unit);
            self.line(&count, labels, None, total as f64);
        }
    }

    /// The text.
    #[must_use]
    pub fn into_text(self) -> String {
        self.text
    }

    fn head(&mut self, name: &str, word: &str, help: &str) {
        let help = help.replace('\\', "\\\\").replace('\n', "\\n");
        // Writing to a text does not fail.
        let _ = writeln!(self.text, "# HELP {name} {help}\n# TYPE {name} {word}");
    }

    fn line(&mut self, name: &str, labels: Labels<'_>, most: Option<f64>, value: f64) {
        self.text.push_str(name);
        let most = most.map(number);
        let all = labels.iter().copied().chain(most.iter().map(|most| ("le", most.as_str())));
        for (at, (label, says)) in all.enumerate() {
            let says = says.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
            let before = if at == 0 { '{' } else { ',' };
            let _ = write!(self.text, "{before}{label}=\"{says}\"");
        }
        if !labels.is_empty() || most.is_some() {
            self.text.push('}');
        }
        let _ = writeln!(self.text, " {}", number(value));
    }
}

/// A number as the format has it.
fn number(value: f64) -> String {
    match value {
        value if value == f64::INFINITY => "+Inf".to_owned(),
        value => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_as_it_is_read() {
        let mut page = Page::new();
        page.figure("a_bytes", Kind::Gauge, "Bytes\nof \\a.", 1_234_567_890_123.0);
        page.family("none_total", Kind::Counter, "Nothing.", []);
        let labels = [("class", "2xx"), ("odd", "a\"b\\c\nd")];
        page.family("b_total", Kind::Counter, "All b.", [(&labels[..], 0.0), (&[], 0.5)]);
        static BOUNDS: &[u64] = &[500, 1_000_000];
        let histogram = Histogram::new(BOUNDS);
        for value in [1, 500, 501, 2_000_000] {
            histogram.count(value);
        }
        page.histograms("c_seconds", "All c.", 1e6, [(&labels[..1], &histogram)]);
        assert_eq!(
            page.into_text(),
            "# HELP a_bytes Bytes\\nof \\\\a.\n\
             # TYPE a_bytes gauge\n\
             a_bytes 1234567890123\n\
             # HELP b_total All b.\n\
             # TYPE b_total counter\n\
             b_total{class=\"2xx\",odd=\"a\\\"b\\\\c\\nd\"} 0\n\
             b_total 0.5\n\
             # HELP c_seconds All c.\n\
             # TYPE c_seconds histogram\n\
             c_seconds_bucket{class=\"2xx\",le=\"0.0005\"} 2\n\
             c_seconds_bucket{class=\"2xx\",le=\"1\"} 3\n\
             c_seconds_bucket{class=\"2xx\",le=\"+Inf\"} 4\n\
             c_seconds_sum{class=\"2xx\"} 2.001002\n\
             c_seconds_count{class=\"2xx\"} 4\n"
        );
    }
}
