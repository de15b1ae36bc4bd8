//! Moves one file into another folder, whatever file systems the two are on. Called by
//! [`super::after`] for a file that has its receipt; never overwrites, never removes what is not
//! safely in the other place.

use std::ffi::{OsStr, OsString};
use std::fs::{File, FileTimes, Permissions};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use rustix::fs::{AtFlags, CWD, Mode, OFlags, RenameFlags};
use rustix::io::Errno;

use crate::state::{Receipt, Stamp};

use super::after::is_same;
use super::lease::{Writer, writer_of};
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
    let source = folder.file(name)?;
    if !is_stored(&source, receipt)? {
        return Ok(None);
    }
    match free_name(name, |free| rename(folder.fd(), name, &target, free)) {
        Ok(free) => {
            // Someone may have put another file in its place in between, or begun to write this
            // one: it goes back.
            if has(&target, &free, &receipt.stamp) && writer_of(&source) != Writer::Some {
                return Ok(Some(free));
            }
            rename(&target, &free, folder.fd(), name)?;
            Ok(None)
        }
        // Another file system, or one that cannot promise not to overwrite.
        Err(error) if error == Errno::XDEV || cannot_promise(error) => {
            copy(folder, name, &source, receipt, &target)
        }
        Err(error) => Err(error.into()),
    }
}

/// Whether a file is, as it is now, what the server has, and nobody is about to change it. Its
/// stamp alone does not tell: there are programs that write into a picture and keep its time. So it
/// is read once more; it was just then, and is still in memory. Blocks.
pub(super) fn is_stored(mut file: &File, receipt: &Receipt) -> io::Result<bool> {
    if writer_of(file) == Writer::Some {
        return Ok(false);
    }
    let mut hasher = blake3::Hasher::new();
    let mut buffer = vec![0; COPY_BYTES];
    loop {
        match file.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => drop(hasher.update(&buffer[..read])),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    file.rewind()?;
    let is_whole = *hasher.finalize().as_bytes() == receipt.hash.0;
    Ok(is_whole && is_same(&receipt.stamp, &Stamp::of(&file.metadata()?)))
}

/// Copies it, and removes it when the copy is safe.
fn copy(
    folder: &Folder,
    name: &OsStr,
    source: &File,
    receipt: &Receipt,
    target: &OwnedFd,
) -> io::Result<Option<OsString>> {
    // What an attempt that was cut short left under this name is of no worth, and what someone else
    // put there is not written into.
    let draft = OsString::from(format!("{OWN}-draft-{}-{}", receipt.id, receipt.stamp.inode));
    let _ = rustix::fs::unlinkat(target, &draft, AtFlags::empty());
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
    let copy = File::from(rustix::fs::openat(target, &draft, flags, Mode::RUSR | Mode::WUSR)?);
    let copied = copy_content(source, &copy, receipt).and_then(|is_same| {
        if !is_same {
            return Ok(None);
        }
        let free = free_name(name, |free| match rename(target, &draft, target, free) {
            // Some file systems can link, but not rename without overwriting.
            Err(error) if cannot_promise(error) => {
                rustix::fs::linkat(target, &draft, target, free, AtFlags::empty())
            }
            // An attempt that was cut short came so far: there need not be two of it.
            Err(Errno::EXIST) if is_copy(target, free, receipt) => Ok(()),
            renamed => renamed,
        })?;
        rustix::fs::fsync(target)?;
        // The draft was another's where an attempt that was given up (a pause) still went on.
        let is_ours = has(target, &free, &Stamp::of(&copy.metadata()?));
        Ok((is_ours || is_copy(target, &free, receipt)).then_some(free))
    });
    // After a rename it is not there.
    let _ = rustix::fs::unlinkat(target, &draft, AtFlags::empty());
    let Some(free) = copied? else { return Ok(None) };
    // Where another file is there by now, or this one is being written, it stays, and has a turn of
    // its own; what the server has was carried all the same.
    remove(folder, name, source, receipt)?;
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
    // The time is the picture's in many a program; a file system that has none is no fault. Nor is
    // one without rights: then it is this user's alone.
    let _ = metadata.modified().map(|at| copy.set_times(FileTimes::new().set_modified(at)));
    let mode = metadata.permissions().mode() & 0o777;
    let _ = copy.set_permissions(Permissions::from_mode(mode));
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

/// Removes the file that was copied, and no other: it is taken aside first, where nobody opens it any
/// more, and put back where it is not the one or someone has it open for writing. Whether it was
/// removed.
fn remove(folder: &Folder, name: &OsStr, source: &File, receipt: &Receipt) -> io::Result<bool> {
    let aside = OsString::from(format!("{OWN}-gone-{}", receipt.id));
    let folder = folder.fd();
    match take_aside(folder, name, &aside) {
        Ok(()) => {}
        Err(Errno::NOENT) => return Ok(true),
        Err(error) => return Err(error.into()),
    }
    if has(folder, &aside, &receipt.stamp) && writer_of(source) != Writer::Some {
        rustix::fs::unlinkat(folder, &aside, AtFlags::empty())?;
        return Ok(true);
    }
    put_back(folder, &aside, name)?;
    Ok(false)
}

/// Gives a file a name that is this program's own.
fn take_aside(folder: &OwnedFd, name: &OsStr, aside: &OsStr) -> Result<(), Errno> {
    match rename(folder, name, folder, aside) {
        Err(error) if cannot_promise(error) => plainly(folder, name, aside),
        renamed => renamed,
    }
}

/// Gives it its name back, unless another file has that by now.
fn put_back(folder: &OwnedFd, aside: &OsStr, name: &OsStr) -> Result<(), Errno> {
    match rename(folder, aside, folder, name) {
        Err(error) if cannot_promise(error) => {
            match rustix::fs::linkat(folder, aside, folder, name, AtFlags::empty()) {
                Ok(()) => rustix::fs::unlinkat(folder, aside, AtFlags::empty()),
                Err(Errno::EXIST) => Err(Errno::EXIST),
                Err(_) => plainly(folder, aside, name),
            }
        }
        renamed => renamed,
    }
}

/// Renames where the file system cannot promise not to overwrite (NFS, 9p, some of FUSE): it is
/// looked before.
fn plainly(folder: &OwnedFd, from: &OsStr, to: &OsStr) -> Result<(), Errno> {
    match rustix::fs::statat(folder, to, AtFlags::SYMLINK_NOFOLLOW) {
        Err(Errno::NOENT) => rustix::fs::renameat(folder, from, folder, to),
        Err(error) => Err(error),
        Ok(_) => Err(Errno::EXIST),
    }
}

/// Whether a file system says so of renaming without overwriting.
fn cannot_promise(error: Errno) -> bool {
    [Errno::INVAL, Errno::NOSYS, Errno::OPNOTSUPP].contains(&error)
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
