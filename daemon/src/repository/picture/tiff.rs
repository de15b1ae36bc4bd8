//! TIFF's directories: what TIFF, most camera RAW and all EXIF are made of.
//!
//! Owns the walk over entries and their values, classic and BigTIFF, in both byte orders. Reads
//! by offset what is asked for and never the strips: `image`'s reader refuses colours that it
//! cannot decode, and kamadak-exif wants the whole file in memory, which a scan of 4 GiB forbids.

use super::source::Source;

/// Entries of one directory that are looked at. Real ones have under 100, scientific ones 300.
const MAX_ENTRIES: u64 = 1024;

#[derive(Debug, Clone, Copy)]
pub(super) struct Tiff {
    base: u64,
    little: bool,
    big: bool,
    first: u64,
}

#[derive(Debug)]
pub(super) struct Directory {
    entries: Vec<Entry>,
    /// Where the next directory of the chain lies; 0 is the chain's end.
    pub(super) next: u64,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    tag: u16,
    /// Bytes of one value; 0 for types that are neither numbers nor text.
    width: u64,
    /// Whether a value is two numbers, one over the other.
    is_ratio: bool,
    count: u64,
    /// Where the values lie, from the content's start.
    at: u64,
}

impl Tiff {
    /// The TIFF whose header lies at `base`; its offsets count from there. Whether the version is
    /// TIFF's own was decided by the kind; EXIF's is not worth a refusal.
    pub(super) fn open(source: &mut Source<'_>, base: u64) -> Option<Tiff> {
        let little = match &source.bytes(base)? {
            b"II" => true,
            b"MM" => false,
            _ => return None,
        };
        let mut tiff = Tiff { base, little, big: false, first: 0 };
        tiff.big = tiff.number(source, base + 2, 2)? == 43;
        let (at, width) = if tiff.big { (base + 8, 8) } else { (base + 4, 4) };
        tiff.first = tiff.number(source, at, width)?;
        Some(tiff)
    }

    /// Where its offsets count from, in the content.
    pub(super) fn base(&self) -> u64 {
        self.base
    }

    /// The first directory.
    pub(super) fn first(&self, source: &mut Source<'_>) -> Option<Directory> {
        self.directory(source, self.first)
    }

    /// The directory at this offset. Entries that lie behind the content's end are left out.
    pub(super) fn directory(&self, source: &mut Source<'_>, offset: u64) -> Option<Directory> {
        let start = self.base.checked_add(offset)?;
        let (count_len, entry_len, inline_len) = if self.big { (8, 20, 8) } else { (2, 12, 4) };
        let count = self.number(source, start, count_len)?;
        let mut entries = Vec::new();
        let mut at = start.checked_add(count_len)?;
        for _ in 0..count.min(MAX_ENTRIES) {
            let Some(entry) = self.entry(source, at, inline_len) else { break };
            entries.extend(entry);
            at = at.checked_add(entry_len)?;
        }
        let next = count
            .checked_mul(entry_len)
            .and_then(|len| start.checked_add(count_len)?.checked_add(len))
            .and_then(|at| self.number(source, at, inline_len))
            .unwrap_or(0);
        Some(Directory { entries, next })
    }

    /// None at the content's end, Some(None) for an entry that says nothing.
    fn entry(&self, source: &mut Source<'_>, at: u64, inline_len: u64) -> Option<Option<Entry>> {
        let tag = self.number(source, at, 2)? as u16;
        let kind = self.number(source, at.checked_add(2)?, 2)?;
        let width = match kind {
            1 | 2 | 7 => 1,
            3 => 2,
            4 | 13 => 4,
            5 | 16 | 18 => 8,
            _ => 0,
        };
        let count = self.number(source, at.checked_add(4)?, inline_len)?;
        let inline = at.checked_add(4 + inline_len)?;
        let at = match count.checked_mul(width) {
            Some(len) if len <= inline_len => Some(inline),
            Some(_) => self.base.checked_add(self.number(source, inline, inline_len)?),
            None => None,
        };
        Some(at.map(|at| Entry { tag, width, is_ratio: kind == 5, count, at }))
    }

    /// The first number of this tag.
    pub(super) fn value(
        &self,
        source: &mut Source<'_>,
        directory: &Directory,
        tag: u16,
    ) -> Option<u64> {
        self.values::<1>(source, directory, tag)[0]
    }

    /// The first numbers of this tag.
    pub(super) fn values<const N: usize>(
        &self,
        source: &mut Source<'_>,
        directory: &Directory,
        tag: u16,
    ) -> [Option<u64>; N] {
        let mut values = [None; N];
        if let Some(entry) = directory.entry(tag).filter(|entry| !entry.is_ratio) {
            for (index, value) in (0..entry.count).zip(&mut values) {
                *value = entry
                    .at
                    .checked_add(index * entry.width)
                    .and_then(|at| self.number(source, at, entry.width));
            }
        }
        values
    }

    /// The ratio of this number among those of this tag; finite.
    pub(super) fn ratio(
        &self,
        source: &mut Source<'_>,
        directory: &Directory,
        tag: u16,
        index: u64,
    ) -> Option<f64> {
        let entry = directory.entry(tag).filter(|entry| entry.is_ratio && index < entry.count)?;
        let at = entry.at.checked_add(8 * index)?;
        let over = self.number(source, at, 4)?;
        let under = self.number(source, at.checked_add(4)?, 4)?;
        (under > 0).then(|| over as f64 / under as f64)
    }

    /// The text of this tag, of at most `N` bytes, up to its end or its first NUL.
    pub(super) fn text<const N: usize>(
        &self,
        source: &mut Source<'_>,
        directory: &Directory,
        tag: u16,
    ) -> Option<String> {
        let entry = directory.entry(tag).filter(|entry| entry.width == 1)?;
        let mut bytes = [0; N];
        let len = source.fill(entry.at, &mut bytes).min(usize::try_from(entry.count).ok()?);
        let text = bytes[..len].split(|byte| *byte == 0).next()?;
        std::str::from_utf8(text).ok().map(|text| text.trim().to_owned())
    }

    fn number(&self, source: &mut Source<'_>, at: u64, width: u64) -> Option<u64> {
        let little = self.little;
        Some(match width {
            1 => u64::from(source.u8(at)?),
            2 if little => u64::from(source.u16(at)?.swap_bytes()),
            2 => u64::from(source.u16(at)?),
            4 if little => u64::from(source.u32(at)?.swap_bytes()),
            4 => u64::from(source.u32(at)?),
            8 if little => source.u64(at)?.swap_bytes(),
            8 => source.u64(at)?,
            _ => return None,
        })
    }
}

impl Directory {
    /// Whether it has this tag.
    pub(super) fn has(&self, tag: u16) -> bool {
        self.entry(tag).is_some()
    }

    /// Where the bytes of this tag lie, from the content's start, and how many they are.
    pub(super) fn place(&self, tag: u16) -> Option<(u64, u64)> {
        let entry = self.entry(tag).filter(|entry| entry.width == 1)?;
        Some((entry.at, entry.count))
    }

    fn entry(&self, tag: u16) -> Option<Entry> {
        self.entries.iter().find(|entry| entry.tag == tag).copied()
    }
}
