//! A blob as something to read from in pieces, and to seek in: what copies and decodes wants. Called
//! by the export, and for what the camera wrote.

use std::io::{self, BufRead, Read, Seek, SeekFrom};
use std::sync::Arc;

use super::Blob;

/// Bytes that are read of a blob at once by who reads all of it.
const PIECE_BYTES: usize = 256 * 1024;

/// The same by who looks here and there.
const SPARSE_BYTES: usize = 4 * 1024;

/// A blob as something to read from, in pieces.
pub(crate) struct Reader {
    blob: Arc<dyn Blob>,
    piece_bytes: usize,
    /// The piece that was read last, and where in the blob it begins.
    piece: Vec<u8>,
    piece_at: u64,
    at: u64,
}

impl Reader {
    pub(crate) fn new(blob: Arc<dyn Blob>) -> Reader {
        Reader { blob, piece_bytes: PIECE_BYTES, piece: Vec::new(), piece_at: 0, at: 0 }
    }

    /// For who reads a little here and there.
    pub(crate) fn sparse(blob: Arc<dyn Blob>) -> Reader {
        Reader { piece_bytes: SPARSE_BYTES, ..Reader::new(blob) }
    }
}

impl BufRead for Reader {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        let inside = |reader: &Reader| {
            let from = reader.at.checked_sub(reader.piece_at)?;
            usize::try_from(from).ok().filter(|from| *from < reader.piece.len())
        };
        if inside(self).is_none() {
            let left = self.blob.size_bytes().saturating_sub(self.at);
            let len = usize::try_from(left).unwrap_or(usize::MAX).min(self.piece_bytes);
            self.piece.clear();
            self.piece.resize(len, 0);
            self.piece_at = self.at;
            // Behind the end there is nothing to ask a blob for.
            if len > 0
                && let Err(error) = self.blob.read_exact_at(&mut self.piece, self.at)
            {
                self.piece.clear();
                return Err(error);
            }
        }
        let from = inside(self).unwrap_or(self.piece.len());
        Ok(&self.piece[from..])
    }

    fn consume(&mut self, amount: usize) {
        self.at = self.at.saturating_add(amount as u64);
    }
}

impl Read for Reader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let piece = self.fill_buf()?;
        let len = piece.len().min(buffer.len());
        buffer[..len].copy_from_slice(&piece[..len]);
        self.consume(len);
        Ok(len)
    }
}

impl Seek for Reader {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let at = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::End(by) => self.blob.size_bytes().checked_add_signed(by),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
        };
        self.at = at.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Bytes(Vec<u8>);

    impl Blob for Bytes {
        fn size_bytes(&self) -> u64 {
            self.0.len() as u64
        }

        fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
            let from = usize::try_from(offset).unwrap();
            buffer.copy_from_slice(&self.0[from..from + buffer.len()]);
            Ok(())
        }
    }

    #[test]
    fn it_reads_all_and_from_anywhere() {
        for size in [0, 1, PIECE_BYTES - 1, PIECE_BYTES, PIECE_BYTES + 1] {
            let content: Vec<u8> = (0..size).map(|at| at as u8).collect();
            let mut reader = Reader::new(Arc::new(Bytes(content.clone())));
            let mut read = Vec::new();
            reader.read_to_end(&mut read).unwrap();
            assert!(read == content, "{size}");
            for from in [0, size / 2, size] {
                reader.seek(SeekFrom::Start(from as u64)).unwrap();
                read.clear();
                reader.read_to_end(&mut read).unwrap();
                assert!(read == content[from..], "{size} from {from}");
            }
            assert!(reader.seek(SeekFrom::Current(-1 - size as i64)).is_err());
            assert_eq!(reader.seek(SeekFrom::End(7)).unwrap(), size as u64 + 7);
            assert_eq!(reader.read(&mut [0; 9]).unwrap(), 0, "behind the end");
        }
    }
}
