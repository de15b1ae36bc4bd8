//! Content as the readers of this room see it: a few bytes at an offset, or nothing.
//!
//! Owns the bound on what one probe reads. A parser asks with `?` and stops where the content ends
//! or the budget is spent; a fault of the disk looks the same to it, is parked here and handed out
//! at the end by [`Source::close`]. Never allocates more than a parser asked for.

use std::io::{self, Read, Seek, SeekFrom};

/// What one probe may read. Headers and EXIF take a few KiB; what has not said its size within
/// 1 MiB (icons with thousands of entries, PNGs of a million tiny chunks) stays without one.
pub(super) const BUDGET_BYTES: u64 = 1 << 20;

/// Bytes fetched at once. Small, because headers are sparse: a JPEG's segments lie 64 KiB apart.
/// Every fetch is charged a whole block, so the budget bounds the seeks too: 2,048.
const BLOCK_BYTES: usize = 512;

pub(super) trait ReadSeek: Read + Seek {}
impl<R: Read + Seek> ReadSeek for R {}

pub(super) struct Source<'a> {
    content: &'a mut dyn ReadSeek,
    size_bytes: u64,
    budget_bytes: u64,
    block: [u8; BLOCK_BYTES],
    block_start: u64,
    block_len: usize,
    fault: Option<io::Error>,
}

impl<'a> Source<'a> {
    pub(super) fn new(content: &'a mut dyn ReadSeek, size_bytes: u64) -> Self {
        Self::within(content, size_bytes, BUDGET_BYTES)
    }

    /// With another budget.
    pub(super) fn within(
        content: &'a mut dyn ReadSeek,
        size_bytes: u64,
        budget_bytes: u64,
    ) -> Self {
        Self {
            content,
            size_bytes,
            budget_bytes,
            block: [0; BLOCK_BYTES],
            block_start: 0,
            block_len: 0,
            fault: None,
        }
    }

    /// Bytes of the whole content.
    pub(super) fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    /// Exactly `N` bytes at this offset.
    pub(super) fn bytes<const N: usize>(&mut self, offset: u64) -> Option<[u8; N]> {
        let mut bytes = [0; N];
        (self.fill(offset, &mut bytes) == N).then_some(bytes)
    }

    pub(super) fn u8(&mut self, offset: u64) -> Option<u8> {
        self.bytes(offset).map(u8::from_be_bytes)
    }

    /// Big endian, as most containers are; TIFF has its own way.
    pub(super) fn u16(&mut self, offset: u64) -> Option<u16> {
        self.bytes(offset).map(u16::from_be_bytes)
    }

    /// Big endian.
    pub(super) fn u32(&mut self, offset: u64) -> Option<u32> {
        self.bytes(offset).map(u32::from_be_bytes)
    }

    /// Big endian.
    pub(super) fn u64(&mut self, offset: u64) -> Option<u64> {
        self.bytes(offset).map(u64::from_be_bytes)
    }

    /// As many of these bytes as there are.
    pub(super) fn fill(&mut self, offset: u64, into: &mut [u8]) -> usize {
        let mut filled = 0;
        while filled < into.len() {
            let Some(at) = offset.checked_add(filled as u64) else { break };
            let Some(held) = self.held(at) else { break };
            let len = held.len().min(into.len() - filled);
            into[filled..filled + len].copy_from_slice(&held[..len]);
            filled += len;
        }
        filled
    }

    /// This content as a stream from its first byte, for decoders that want one.
    pub(super) fn stream(&mut self) -> Stream<'_, 'a> {
        Stream { source: self, position: 0 }
    }

    /// Ends the reading: the disk's fault, had there been one.
    pub(super) fn close(self) -> io::Result<()> {
        self.fault.map_or(Ok(()), Err)
    }

    /// The rest of the block that holds this offset, fetched if need be; never empty.
    fn held(&mut self, offset: u64) -> Option<&[u8]> {
        let inside = |start: u64, len: usize| offset >= start && offset - start < len as u64;
        if !inside(self.block_start, self.block_len) {
            self.fetch(offset);
        }
        if !inside(self.block_start, self.block_len) {
            return None;
        }
        Some(&self.block[(offset - self.block_start) as usize..self.block_len])
    }

    fn fetch(&mut self, offset: u64) {
        self.block_len = 0;
        if offset >= self.size_bytes || self.fault.is_some() {
            return;
        }
        let Some(left) = self.budget_bytes.checked_sub(BLOCK_BYTES as u64) else { return };
        self.budget_bytes = left;
        self.block_start = offset;
        let want = (self.size_bytes - offset).min(BLOCK_BYTES as u64) as usize;
        if let Err(fault) = self.content.seek(SeekFrom::Start(offset)) {
            self.fault = Some(fault);
            return;
        }
        while self.block_len < want {
            match self.content.read(&mut self.block[self.block_len..want]) {
                Ok(0) => return,
                Ok(len) => self.block_len += len,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(fault) => {
                    self.fault = Some(fault);
                    self.block_len = 0;
                    return;
                }
            }
        }
    }
}

/// See [`Source::stream`]. The end of the content and of the budget look the same.
pub(super) struct Stream<'s, 'a> {
    source: &'s mut Source<'a>,
    position: u64,
}

impl Read for Stream<'_, '_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let len = self.source.fill(self.position, into);
        self.position += len as u64;
        Ok(len)
    }
}

impl Seek for Stream<'_, '_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let target = match to {
            SeekFrom::Start(offset) => Some(offset),
            SeekFrom::End(delta) => self.source.size_bytes.checked_add_signed(delta),
            SeekFrom::Current(delta) => self.position.checked_add_signed(delta),
        };
        self.position = target.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.position)
    }
}
