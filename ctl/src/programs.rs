//! Where the other programs of imgrepo are: beside this one, or where the system finds them.

use std::path::PathBuf;

/// How a person calls a program of ours here: by its name where PATH has it, else by its path.
pub(crate) fn called(name: &str) -> String {
    let path = program(name);
    let paths = std::env::var_os("PATH").unwrap_or_default();
    match std::env::split_paths(&paths).any(|folder| Some(&*folder) == path.parent()) {
        true => name.to_owned(),
        false => path.display().to_string(),
    }
}

/// A program of ours: beside this one, else the one in PATH.
pub(crate) fn program(name: &str) -> PathBuf {
    let beside = std::env::current_exe()
        .ok()
        .map(|own| own.with_file_name(format!("{name}{}", std::env::consts::EXE_SUFFIX)));
    beside.filter(|path| path.is_file()).unwrap_or_else(|| name.into())
}
