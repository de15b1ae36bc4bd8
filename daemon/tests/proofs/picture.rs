//! Pictures made from a seed: bitmaps whose every pixel is random, so that no two are alike and any
//! length can be had. Whoever knows seed and length can make the same one again.

use bytes::Bytes;
use imgrepo_proto::BlobHash;

/// Bytes of a bitmap's two headers.
const HEADER_BYTES: usize = 54;

/// Pixels from left to right; the rest of the length is their number from top to bottom.
const WIDTH: u32 = 256;

/// A picture and what is said of it when it is uploaded.
#[derive(Debug, Clone)]
pub(crate) struct Picture {
    pub(crate) name: String,
    pub(crate) content: Bytes,
    pub(crate) hash: BlobHash,
}

impl Picture {
    /// The picture of this seed, of so many bytes; of at least its header.
    pub(crate) fn new(name: impl Into<String>, seed: u64, size: usize) -> Picture {
        let size = size.max(HEADER_BYTES);
        let height = (size - HEADER_BYTES) / (4 * WIDTH as usize);
        let mut content = vec![0; size];
        content[..2].copy_from_slice(b"BM");
        content[2..6].copy_from_slice(&(size as u32).to_le_bytes());
        content[10] = HEADER_BYTES as u8;
        content[14] = 40; // the second header's bytes
        content[18..22].copy_from_slice(&WIDTH.to_le_bytes());
        content[22..26].copy_from_slice(&(height as u32).to_le_bytes());
        content[26] = 1; // one plane
        content[28] = 32; // bits of a pixel
        let mut pixels = blake3::Hasher::new().update(&seed.to_le_bytes()).finalize_xof();
        pixels.fill(&mut content[HEADER_BYTES..]);
        let hash = BlobHash(*blake3::hash(&content).as_bytes());
        Picture { name: name.into(), content: content.into(), hash }
    }

    pub(crate) fn size(&self) -> u64 {
        self.content.len() as u64
    }
}

/// Random numbers of a seed (splitmix64), so that a run that failed can be run again.
#[derive(Debug, Clone)]
pub(crate) struct Random(u64);

impl Random {
    /// From `IMGREPO_SEED` where it is set, and else from the clock; the seed is printed.
    pub(crate) fn from_environment() -> Random {
        let seed = match std::env::var("IMGREPO_SEED") {
            Ok(text) => text.parse().expect("IMGREPO_SEED is a number"),
            Err(_) => std::time::UNIX_EPOCH.elapsed().map_or(0, |age| age.as_nanos() as u64),
        };
        println!("run it again with IMGREPO_SEED={seed}");
        Random(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Another source of them, whose numbers this one's do not touch.
    pub(crate) fn fork(&mut self) -> Random {
        Random(self.next())
    }

    /// From `low` to `high`, both among them.
    pub(crate) fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.next() % (high - low + 1)
    }
}

/// A number of rounds from the environment.
pub(crate) fn count(variable: &str, default: u64) -> u64 {
    match std::env::var(variable) {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("{variable} is a number")),
        Err(_) => default,
    }
}
