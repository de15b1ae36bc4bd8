//! What a fault of the disk is called towards the person who asked: no room, or a fault of the
//! server, whose cause goes to the log alone. Called by every file of the repository.

use std::io;

use imgrepo_proto::{ErrorCode, ImageName, ImageRecord, Refusal};

use super::catalog::CatalogError;

/// No room.
pub(crate) fn storage_full() -> Refusal {
    Refusal::new(ErrorCode::StorageFull, "the server's disk is full")
        .hint("try again when its owner has made room")
}

/// The bytes are no image's.
pub(crate) fn not_an_image() -> Refusal {
    Refusal::new(ErrorCode::NotAnImage, "the content is not an image").hint(
        "images are JPEG, PNG, GIF, WebP, BMP, TIFF, QOI, PNM, ICO, HEIC, AVIF, JPEG XL and camera \
         RAW, told by their content",
    )
}

/// The repository is about to end.
pub(crate) fn shutting_down() -> Refusal {
    Refusal::new(ErrorCode::ShuttingDown, "the repository is closing")
}

/// The content of an image is not what it was.
pub(crate) fn damaged(image: &ImageRecord, why: &str) -> Refusal {
    let (name, id) = (imgrepo_proto::name::shown(&image.name), image.id);
    Refusal::new(
        ErrorCode::Damaged,
        format!("the content of `{name}` (image {id}) is {why} on the server"),
    )
    .hint("upload the same file again: that heals it, for everybody who has it")
}

/// Something failed that should not.
pub(crate) fn internal(cause: &dyn std::fmt::Display) -> Refusal {
    tracing::error!("{cause}");
    Refusal::new(ErrorCode::Internal, "the server could not do that, its log says why")
}

/// The disk failed at this act.
pub(crate) fn disk(act: &str, error: &io::Error) -> Refusal {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => storage_full(),
        _ => internal(&format!("cannot {act}: {error}")),
    }
}

/// The catalog failed.
pub(crate) fn catalog(error: &CatalogError) -> Refusal {
    match error {
        CatalogError::Full => storage_full(),
        CatalogError::Failed(cause) => internal(&format!("the catalog failed: {cause}")),
    }
}

/// The same refusal, said of the upload of this name.
pub(crate) fn of_upload(refusal: Refusal, name: &ImageName) -> Refusal {
    let name = imgrepo_proto::name::shown(name.as_str());
    Refusal { message: format!("cannot store `{name}`: {}", refusal.message), ..refusal }
}
