//! Reads a file ahead of what is sent of it, in pieces, one stretch at a time. The upload's shell owns
//! one for each attempt.

use std::collections::VecDeque;

use bytes::BytesMut;
use imgrepo_proto::session::data::HEADER_BYTES;
use imgrepo_proto::{ErrorCode, Refusal};
use tokio::task::JoinHandle;

use super::source::Source;

/// Pieces read from the file at once, and so held in memory beyond the link's queue: one reading
/// ahead of the one that is sent. Of the largest pieces they are 256 KiB. Not bytes: a server that
/// takes a few at a time would make a piece of each, at a hundred times its memory.
const READ_PIECES: usize = 4;

/// The pieces of a stretch.
type Stretch = Result<Vec<BytesMut>, Refusal>;

/// Reads ahead of what is sent, one stretch at a time.
pub(super) struct Reader {
    source: Source,
    /// The most bytes of the pieces that are read from now on.
    pub(super) piece_bytes: usize,
    /// Where the first piece begins.
    at: u64,
    pieces: VecDeque<BytesMut>,
    /// The stretch that is being read, and where it begins. Dropped it reads on to its end in the
    /// blocking pool, for nothing; a stretch is short.
    reading: Option<(u64, JoinHandle<Stretch>)>,
}

impl Reader {
    pub(super) fn new(source: Source, piece_bytes: usize) -> Self {
        Reader { source, piece_bytes, at: 0, pieces: Default::default(), reading: None }
    }

    /// Waits until the piece at this offset is here: its bytes. Cancel-safe.
    pub(super) async fn ready(&mut self, offset: u64) -> Result<usize, Refusal> {
        loop {
            if self.at == offset
                && let Some(piece) = self.pieces.front()
            {
                let len = piece.len() - HEADER_BYTES;
                self.read_ahead(offset);
                return Ok(len);
            }
            // Other pieces are of no use: the server begins elsewhere.
            if self.at != offset {
                self.pieces.clear();
            }
            match &mut self.reading {
                Some((start, reading)) if *start == offset => {
                    let pieces = reading.await;
                    self.reading = None;
                    self.at = offset;
                    let gone = "the reading was given up";
                    let pieces =
                        pieces.unwrap_or_else(|_| Err(Refusal::new(ErrorCode::Internal, gone)))?;
                    self.pieces.extend(pieces);
                }
                _ => self.read(offset),
            }
        }
    }

    /// Takes the piece that [`Reader::ready`] told of.
    pub(super) fn take(&mut self) -> Option<BytesMut> {
        let piece = self.pieces.pop_front()?;
        self.at += (piece.len() - HEADER_BYTES) as u64;
        Some(piece)
    }

    fn read_ahead(&mut self, offset: u64) {
        let here: usize = self.pieces.iter().map(|piece| piece.len() - HEADER_BYTES).sum();
        let next = offset + here as u64;
        let has_it = self.reading.as_ref().is_some_and(|(start, _)| *start == next);
        if !has_it && next < self.source.size() {
            self.read(next);
        }
    }

    fn read(&mut self, offset: u64) {
        let bytes = READ_PIECES.saturating_mul(self.piece_bytes);
        let (source, piece_bytes) = (self.source.clone(), self.piece_bytes);
        let read = async move { source.pieces(offset, bytes, piece_bytes).await };
        self.reading = Some((offset, tokio::spawn(read)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn small_pieces_are_few_in_memory() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), [7; 1000]).unwrap();
        let mut reader = Reader::new(Source::open(file.path()).unwrap(), 1);
        for at in 0..10 {
            assert_eq!(reader.ready(at).await, Ok(1));
            assert!(reader.pieces.len() <= 2 * READ_PIECES, "{}", reader.pieces.len());
            reader.take().unwrap();
        }
    }
}
