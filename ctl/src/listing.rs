//! What is listed of people: a table on a terminal; to a pipe lines for scripts, their columns
//! parted by tabs, with times and sizes in full and nothing where nothing is known.

use jiff::Timestamp;

use crate::failure::Failure;
use crate::output::{Output, Style};
use crate::table::{self, Align, columns};

/// How the cells of a listing are written.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cells {
    table: bool,
}

impl Cells {
    /// By where standard output goes.
    pub(crate) fn of(out: &Output) -> Self {
        Cells { table: out.terminal() }
    }

    /// A time.
    pub(crate) fn at(self, at: Option<Timestamp>) -> String {
        match self.table {
            true => table::minute(at),
            false => at.map(|at| at.to_string()).unwrap_or_default(),
        }
    }

    /// A number of bytes.
    pub(crate) fn size(self, bytes: u64) -> String {
        match self.table {
            true => table::size(bytes),
            false => bytes.to_string(),
        }
    }

    /// Shows rows, the titles above them where there are any rows and `head` says so. Cells must be
    /// safe to show already.
    pub(crate) fn show(
        self,
        out: &Output,
        (titles, head): (&[(&str, Align)], bool),
        mut rows: Vec<Vec<String>>,
    ) -> Result<(), Failure> {
        if !self.table {
            return rows.iter().try_for_each(|row| out.line(&row.join("\t")));
        }
        let aligns: Vec<Align> = titles.iter().map(|(_, align)| *align).collect();
        rows.insert(0, titles.iter().map(|(title, _)| (*title).to_owned()).collect());
        let mut lines = columns(&aligns, &rows).into_iter();
        let title = lines.next().filter(|_| head && rows.len() > 1);
        let title = title.map(|title| out.styled(Style::Bold, &title));
        title.into_iter().chain(lines).try_for_each(|line| out.line(&line))
    }
}
