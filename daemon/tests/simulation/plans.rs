//! What is to happen in a world, and when: what people do, and what goes wrong while they do it.

use crate::chance::Chance;
use crate::disk::Crash;

/// How long the troubles last, mostly and at most.
const TROUBLES_MS: u64 = 25_000;
const LONG_TROUBLES_MS: u64 = 150_000;

/// Something that is to happen.
#[derive(Debug, Clone)]
pub(crate) enum Plan {
    /// A client's person does something.
    Queue,
    Again,
    Give,
    Cancel,
    Change,
    Download,
    /// Something goes wrong.
    Network,
    ClientCrash,
    ServerCrash,
    DiskFails(bool),
    Clock,
    /// Something that was down comes back.
    ClientStart(usize),
    ServerStart(Crash),
}

/// What will happen when, as far as that can be known before.
pub(crate) fn all(clients: u64, chance: &mut Chance) -> Vec<(u64, Plan)> {
    let mut plans = Vec::new();
    let files = clients * 2;
    let counts = [
        (Plan::Queue, files..2 * files),
        (Plan::Again, 0..4),
        (Plan::Give, 0..4),
        (Plan::Cancel, 0..4),
        (Plan::Change, 0..8),
        (Plan::Download, 0..6),
        (Plan::Network, 0..8),
        (Plan::ClientCrash, 0..3),
        (Plan::ServerCrash, 0..4),
        (Plan::Clock, 0..2),
    ];
    let last = match chance.one_in(8) {
        // Long enough for a peer that is gone to be noticed.
        true => chance.among(60_000..LONG_TROUBLES_MS),
        false => chance.among(5_000..TROUBLES_MS),
    };
    for (plan, count) in counts {
        for _ in 0..chance.among(count) {
            let mut at = chance.among(0..last);
            // Much happens at one time, and while something else is under way.
            if !chance.one_in(4)
                && let Some((begun, _)) = chance.pick(&plans)
            {
                at = *begun + chance.among(0..300);
            }
            plans.push((at, plan.clone()));
        }
    }
    if chance.one_in(4) {
        let from = chance.among(0..last);
        let until = chance.among(from..last + 1);
        plans.push((from, Plan::DiskFails(true)));
        plans.push((until, Plan::DiskFails(false)));
    }
    plans
}
