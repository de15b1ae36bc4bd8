//! What the contents that are there and those that there should be have to do with each other. Pure.

use imgrepo_proto::BlobHash;

use crate::repository::catalog::inspection::KeptContent;

/// Something that may be wrong with a content. What is looked at while the repository serves is never
/// of one moment: whoever gets this looks again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Doubt {
    /// Images have it, and it is not there.
    Missing,
    /// It has another size than its images say.
    WrongSize {
        /// Bytes that are there.
        is: u64,
        /// Bytes that there should be.
        should: u64,
    },
    /// It is there, and no image has it.
    LeftOver,
}

/// Goes along both lists, which are in the order of their hashes.
pub(super) fn compare(kept: &[KeptContent], there: &[(BlobHash, u64)]) -> Vec<(BlobHash, Doubt)> {
    let mut doubts = Vec::new();
    let mut there = there.iter().peekable();
    for content in kept {
        while let Some((hash, _)) = there.next_if(|(hash, _)| *hash < content.hash) {
            doubts.push((*hash, Doubt::LeftOver));
        }
        let should = content.size_bytes;
        match there.next_if(|(hash, _)| *hash == content.hash) {
            None => doubts.push((content.hash, Doubt::Missing)),
            Some((_, is)) if *is != should => {
                doubts.push((content.hash, Doubt::WrongSize { is: *is, should }));
            }
            Some(_) => {}
        }
    }
    doubts.extend(there.map(|(hash, _)| (*hash, Doubt::LeftOver)));
    doubts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_fault_is_found_and_nothing_else() {
        let hash = |byte| BlobHash([byte; 32]);
        let kept = |byte, size_bytes| KeptContent {
            hash: hash(byte),
            size_bytes,
            most_bytes: size_bytes,
            images: 1,
        };
        assert_eq!(compare(&[], &[]), []);
        assert_eq!(compare(&[kept(1, 5)], &[(hash(1), 5)]), []);
        let found = compare(
            &[kept(2, 5), kept(4, 5), kept(6, 5), kept(8, 5)],
            &[(hash(1), 1), (hash(2), 5), (hash(3), 1), (hash(6), 4), (hash(9), 1)],
        );
        let expected = [
            (hash(1), Doubt::LeftOver),
            (hash(3), Doubt::LeftOver),
            (hash(4), Doubt::Missing),
            (hash(6), Doubt::WrongSize { is: 4, should: 5 }),
            (hash(8), Doubt::Missing),
            (hash(9), Doubt::LeftOver),
        ];
        assert_eq!(found, expected);
    }
}
