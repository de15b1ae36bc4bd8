//! What the state's file is, and what is said where it cannot be used. A change of the schema begins
//! here: add the next numbered file and never edit one that was released.

use imgrepo_proto::{ErrorCode, Refusal};

use crate::database::{DatabaseError, Format};

/// The state.
pub(super) const FORMAT: Format<'_> = Format {
    noun: "queue",
    // "imgq"
    application_id: 0x696d_6771,
    migrations: &[include_str!("schema/0001.sql")],
    first: "",
    tables: &[
        (1, "setting", "key"),
        (1, "membership", "id"),
        (1, "folder", "id"),
        (1, "upload", "id"),
    ],
    look: |_| Ok(None),
};

/// To the person who starts the daemon.
pub(super) fn refusal(error: &DatabaseError) -> Refusal {
    let refusal = Refusal::new(ErrorCode::FileError, error.to_string());
    match error {
        DatabaseError::Damaged { .. } => refusal.hint(
            "put a copy of it back, or move it away to begin anew: then folders have to be watched, \
             and what waited in the queue has to be queued, once more",
        ),
        DatabaseError::Future { .. } => refusal.hint("start the newer imgrepod"),
        _ => refusal,
    }
}
