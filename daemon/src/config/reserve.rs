//! What contents leave free of their disk, as it is told and as so many bytes.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error};

use super::file;

const MIB: u64 = 1024 * 1024;

/// Never less: the catalog must go on when contents no longer fit.
const LEAST_BYTES: u64 = 64 * MIB;

/// Never more, where it is told as a part: room for one of the largest images beside the catalog of a
/// million. Many people's disks are fuller than 95 %, and a server there should still take pictures.
const MOST_OF_A_PART_BYTES: u64 = 4 * 1024 * MIB;

/// What is left free.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reserve {
    /// So many hundredths of the disk.
    Percent(u8),
    /// So many bytes.
    Bytes(u64),
}

impl Default for Reserve {
    fn default() -> Self {
        Reserve::Percent(5)
    }
}

impl Reserve {
    /// So much of a disk of this size, where that is known.
    #[must_use]
    pub fn bytes(self, disk_bytes: Option<u64>) -> u64 {
        let wanted = match self {
            Reserve::Percent(part) => {
                let part = disk_bytes.unwrap_or(0) / 100 * u64::from(part);
                part.min(MOST_OF_A_PART_BYTES)
            }
            Reserve::Bytes(bytes) => bytes,
        };
        wanted.max(LEAST_BYTES)
    }
}

impl fmt::Display for Reserve {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reserve::Percent(part) => write!(f, "{part}%"),
            Reserve::Bytes(bytes) => write!(f, "{bytes}"),
        }
    }
}

impl<'de> Deserialize<'de> for Reserve {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        #[derive(serde::Deserialize)]
        #[serde(untagged)]
        enum Told {
            Bytes(u64),
            Text(String),
        }
        let bad = || Error::custom("give it as \"5%\", as \"2 GiB\" or as bytes");
        match Told::deserialize(from).map_err(|_| bad())? {
            Told::Bytes(bytes) => Ok(Reserve::Bytes(bytes)),
            Told::Text(text) => match text.strip_suffix('%') {
                Some(part) => {
                    let part = part.trim().parse().ok().filter(|part| *part <= 100);
                    part.map(Reserve::Percent).ok_or_else(bad)
                }
                None => file::size(&text).map(Reserve::Bytes).ok_or_else(bad),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_of_the_disk_within_bounds_or_a_size() {
        const GIB: u64 = 1024 * MIB;
        for (told, disk, bytes) in [
            ("\"5%\"", Some(60 * GIB), 3 * GIB),
            ("\"5 %\"", Some(GIB), 64 * MIB),
            ("\"5%\"", Some(4096 * GIB), 4 * GIB),
            ("\"5%\"", None, 64 * MIB),
            ("\"0%\"", Some(100 * GIB), 64 * MIB),
            ("\"40 GiB\"", Some(100 * GIB), 40 * GIB),
            ("0", Some(100 * GIB), 64 * MIB),
            ("134217728", None, 128 * MIB),
        ] {
            let reserve: Reserve = serde_json::from_str(told).unwrap();
            assert_eq!(reserve.bytes(disk).div_ceil(MIB), bytes / MIB, "{told} of {disk:?}");
        }
        for bad in ["\"101%\"", "\"-1%\"", "\"much\"", "-1", "true"] {
            assert!(serde_json::from_str::<Reserve>(bad).is_err(), "{bad}");
        }
    }
}
