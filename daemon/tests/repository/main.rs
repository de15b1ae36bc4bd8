//! The repository, from outside: on real files, real SQLite, real small disks. Everything waits for
//! answers, nothing for time.

// clippy.toml allows both in tests, but does not see that their helpers are part of them.
#![allow(clippy::print_stderr, clippy::unwrap_used)]

mod backup;
mod backup_ends;
mod classic;
mod classic_export;
mod damage;
mod ends;
mod fsck;
mod fsck_meanwhile;
mod full;
mod life;
mod people;
mod people_histories;
mod quota;
mod small_disk;
mod staging;
mod support;
