//! A fault in words: what it is, and what was done about it or can be. Pure.

use imgrepo_proto::BlobHash;
use imgrepo_proto::control::maintenance::{Affected, Fault, FaultKind};

use crate::repository::catalog::StoredImage;

/// A fault of which no more is known than this.
pub(super) fn fault(kind: FaultKind, message: impl Into<String>) -> Fault {
    Fault {
        kind,
        message: message.into(),
        hash: None,
        images: Vec::new(),
        remedy: None,
        repaired: false,
    }
}

/// One that `--repair` can put right, or just did.
pub(super) fn mendable(fault: Fault, mended: Mended) -> Fault {
    let remedy = match &mended {
        Mended::NotTried => "--repair puts it right".to_owned(),
        Mended::Done(what) => (*what).to_owned(),
        Mended::Failed(why) => format!("it could not be put right: {why}"),
    };
    Fault { remedy: Some(remedy), repaired: matches!(mended, Mended::Done(_)), ..fault }
}

/// What came of putting something right.
pub(super) enum Mended {
    /// It was not asked for.
    NotTried,
    /// It is done.
    Done(&'static str),
    /// It is not, because of this.
    Failed(String),
}

/// A content that is lost, with the images that have it.
pub(super) fn lost(
    kind: FaultKind,
    hash: BlobHash,
    why: &str,
    images: &[StoredImage],
    aside: Option<&Mended>,
) -> Fault {
    let affected = |image: &StoredImage| Affected {
        id: image.record.id,
        name: image.record.name.clone(),
        uploader: image.record.uploader.clone(),
    };
    let aside = match aside {
        Some(Mended::Done(what)) => format!("{what}; "),
        Some(Mended::Failed(why)) => format!("it could not be moved aside: {why}; "),
        Some(Mended::NotTried) | None => String::new(),
    };
    let remedy = format!(
        "{aside}it is not served, and comes back by itself from a member who still has the file, or \
         when somebody uploads it again"
    );
    Fault {
        hash: Some(hash),
        images: images.iter().map(affected).collect(),
        remedy: Some(remedy),
        ..fault(kind, format!("content {hash} {why}"))
    }
}
