//! Moves one file into another folder, whatever file systems the two are on. Called by
//! [`super::after`] for a file that has its receipt; never overwrites, never removes what is not
//! safely in the other place.

use std::ffi::{OsStr, OsString};
use std::fs::{File, FileTimes};
use std::io::{self, Read as _, Write as _};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::Path;

use rustix::fs::{AtFlags, CWD, Mode, OFlags, RenameFlags};
use rustix::io::Errno;

use crate::state::{Receipt, Stamp};

use super::after::is_same;
use super::root::{Entry, Folder, entry};
use super::rules::OWN;

/// Names that are tried: `a.jpg`, `a (2).jpg` and so on.
const NAMES: u32 = 10_000;

/// Bytes copied at once.
const COPY_BYTES: usize = 256 * 1024;

/// Moves the file `name` of this folder into the folder `to`: the name that it has there, or None
/// where it is not the receipt's file any more. Blocks.
pub(super) fn carry(
    folder: &Folder,
    name: &OsStr,
    receipt: &Receipt,
    to: &Path,
) -> io::Result<Option<OsString>> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let target = rustix::fs::openat(CWD, to, flags, Mode::empty())?;
    match free_name(name, |free| rename(folder.fd(), name, &target, free)) {
        Ok(free) => {
            // Someone may have put another file in its place in between: that one goes back.
            if has(&target, &free, &receipt.stamp) {
                return Ok(Some(free));
            }
            rename(&target, &free, folder.fd(), name)?;
            Ok(None)
        }
        // Another file system, or one that cannot promise not to overwrite.
        Err(Errno::XDEV | Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {
            copy(folder, name, receipt, &target)
        }
        Err(error) => Err(error.into()),
    }
}

/// Copies it, and removes it when the copy is safe.
fn copy(
    folder: &Folder,
    name: &OsStr,
    receipt: &Receipt,
    target: &OwnedFd,
) -> io::Result<Option<OsString>> {
    let source = folder.file(name)?;
    // What an attempt that was cut short left under this name is of no worth.
    let draft = OsString::from(format!("{OWN}-draft-{}-{}", receipt.id, receipt.stamp.inode));
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::NOFOLLOW;
    let flags = flags | OFlags::CLOEXEC;
    let mode = Mode::RUSR | Mode::WUSR | Mode::RGRP | Mode::ROTH;
    let copy = File::from(rustix::fs::openat(target, &draft, flags, mode)?);
    let copied = copy_content(&source, &copy, receipt).and_then(|is_same| {
        if !is_same {
            return Ok(None);
        }
        let free = free_name(name, |free| match rename(target, &draft, target, free) {
            // Some file systems can link, but not rename without overwriting.
            Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {
                rustix::fs::linkat(target, &draft, target, free, AtFlags::empty())
            }
            // An attempt that was cut short came so far: there need not be two of it.
            Err(Errno::EXIST) if is_copy(target, free, receipt) => Ok(()),
            renamed => renamed,
        })?;
        rustix::fs::fsync(target)?;
        Ok(Some(free))
    });
    // After a rename it is not there.
    let _ = rustix::fs::unlinkat(target, &draft, AtFlags::empty());
    let Some(free) = copied? else { return Ok(None) };
    remove(folder, name, receipt)?;
    Ok(Some(free))
}

/// Copies the bytes, synced, with the time that the file bears. False where they are not those that
/// the server has.
fn copy_content(mut source: &File, mut copy: &File, receipt: &Receipt) -> io::Result<bool> {
    let mut hasher = blake3::Hasher::new();
    let mut buffer = vec![0; COPY_BYTES];
    loop {
        let read = match source.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        hasher.update(&buffer[..read]);
        copy.write_all(&buffer[..read])?;
    }
    let metadata = source.metadata()?;
    let is_whole = *hasher.finalize().as_bytes() == receipt.hash.0;
    if !is_whole || !is_same(&receipt.stamp, &Stamp::of(&metadata)) {
        return Ok(false);
    }
    // The time is the picture's in many a program; a file system that has none is no fault.
    let _ = metadata.modified().map(|at| copy.set_times(FileTimes::new().set_modified(at)));
    copy.sync_all()?;
    Ok(true)
}

/// Whether this is a whole copy of the file: of its size, time and content. A file system may keep
/// the time by steps of two seconds.
fn is_copy(target: &OwnedFd, name: &OsStr, receipt: &Receipt) -> bool {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let Ok(there) = rustix::fs::openat(target, name, flags, Mode::empty()) else { return false };
    let there = File::from(there);
    let Ok(metadata) = there.metadata() else { return false };
    let Stamp { size, modified, .. } = Stamp::of(&metadata);
    let is_alike = metadata.is_file()
        && size == receipt.stamp.size
        && modified.0.abs_diff(receipt.stamp.modified.0) <= 2;
    let mut hasher = blake3::Hasher::new();
    is_alike
        && hasher.update_reader(&there).is_ok()
        && *hasher.finalize().as_bytes() == receipt.hash.0
}

/// Removes the file that was copied, and no other: it is taken aside first, and put back where it
/// is not the one.
fn remove(folder: &Folder, name: &OsStr, receipt: &Receipt) -> io::Result<()> {
    let aside = OsString::from(format!("{OWN}-gone-{}", receipt.id));
    match rename(folder.fd(), name, folder.fd(), &aside) {
        Ok(()) => {}
        Err(Errno::NOENT) => return Ok(()),
        Err(error) => return Err(error.into()),
    }
    if has(folder.fd(), &aside, &receipt.stamp) {
        rustix::fs::unlinkat(folder.fd(), &aside, AtFlags::empty())?;
    } else {
        rename(folder.fd(), &aside, folder.fd(), name)?;
    }
    Ok(())
}

/// Renames without overwriting.
fn rename(from: &OwnedFd, old: &OsStr, to: &OwnedFd, new: &OsStr) -> Result<(), Errno> {
    rustix::fs::renameat_with(from, old, to, new, RenameFlags::NOREPLACE)
}

fn has(folder: impl AsFd, name: &OsStr, stamp: &Stamp) -> bool {
    let there = rustix::fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW);
    there.is_ok_and(|stat| matches!(entry(&stat), Entry::File(now) if is_same(stamp, &now)))
}

/// The first name that is free: the file's own, or with a number before its extension.
fn free_name(
    name: &OsStr,
    mut take: impl FnMut(&OsStr) -> Result<(), Errno>,
) -> Result<OsString, Errno> {
    for number in 1..NAMES {
        let name = numbered(name, number);
        match take(&name) {
            Ok(()) => return Ok(name),
            Err(Errno::EXIST) => {}
            Err(error) => return Err(error),
        }
    }
    Err(Errno::EXIST)
}

fn numbered(name: &OsStr, number: u32) -> OsString {
    if number == 1 {
        return name.to_owned();
    }
    let bytes = name.as_bytes();
    let dot = bytes.iter().rposition(|byte| *byte == b'.').filter(|at| *at > 0);
    let (stem, extension) = bytes.split_at(dot.unwrap_or(bytes.len()));
    let mark = format!(" ({number})");
    // A name has at most 255 bytes.
    let room = 255_usize.saturating_sub(mark.len() + extension.len());
    let stem = &stem[..stem.len().min(room)];
    OsString::from_vec([stem, mark.as_bytes(), extension].concat())
}

#[cfg(test)]
#[path = "carry_tests.rs"]
mod tests;
