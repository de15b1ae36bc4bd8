//! Many pieces to a file in as few writes as the system takes. Called by staging and the journal.

use std::fs::File;
use std::io::{self, IoSlice, Write as _};

/// Writes all the pieces, in order, where the file stands.
///
/// # Errors
/// The disk's; some of the bytes may be written then.
pub(crate) fn write_all(file: &mut File, mut rest: &mut [IoSlice<'_>]) -> io::Result<()> {
    IoSlice::advance_slices(&mut rest, 0); // leading empty pieces
    while !rest.is_empty() {
        match file.write_vectored(rest) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => IoSlice::advance_slices(&mut rest, written),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
