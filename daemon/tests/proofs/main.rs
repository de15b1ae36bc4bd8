//! Proofs about real `imgrepod` processes: what was acknowledged outlives kills and power cuts, and
//! programs that are not ours work with it. One program, so that all share one clumsy, independent
//! client; `make torture` runs the same at full length.

#![allow(clippy::print_stdout, reason = "what was proven, and what was not, is told to people")]

mod backup;
mod behind_proxy;
mod cable;
mod classic;
mod control;
mod crew;
mod cuts;
mod cutter;
mod half_open;
mod kill;
mod ledger;
mod log;
mod memory;
mod nginx;
mod picture;
mod pictures;
mod power_cut;
mod process;
mod python;
mod queue_kill;
mod session;
mod volume;
mod wire;
