//! Work on a repository as a whole, while it serves or while it is open for that alone: one way for
//! both, so that neither the work nor who asked knows which it is. Called by `control`, for the
//! program that asks the serving daemon, and by that program itself where none serves.
//!
//! The work blocks and has a thread of the blocking pool; it ends soon after nobody hears it.

use std::time::{Duration, Instant};

use imgrepo_proto::control::maintenance::{
    Fault, Maintenance, MaintenanceItem, MaintenanceOutcome, Step,
};
use imgrepo_proto::{ErrorCode, Refusal};
use tokio::sync::mpsc;

use super::{Repository, backup, fsck};

/// Items on their way to who asked: the work waits for a slow reader.
const ITEMS_ON_THE_WAY: usize = 16;

/// Between two steps that are told: as often as an eye follows.
const STEP_EVERY: Duration = Duration::from_millis(100);

/// Who hears how the work goes on. When the other end is dropped, the work is given up.
#[derive(Debug)]
pub struct Told {
    items: mpsc::Sender<MaintenanceItem>,
    step_at: Option<Instant>,
}

impl Told {
    /// Both ends.
    #[must_use]
    pub fn channel() -> (Told, mpsc::Receiver<MaintenanceItem>) {
        let (items, receiver) = mpsc::channel(ITEMS_ON_THE_WAY);
        (Told { items, step_at: None }, receiver)
    }

    /// Tells how far the work is, unless that was told a moment ago. To be called often: it is here
    /// that the work learns that it is given up. Blocks.
    ///
    /// # Errors
    /// `cancelled`.
    pub(crate) fn step(&mut self, step: impl FnOnce() -> Step) -> Result<(), Refusal> {
        if self.items.is_closed() {
            return Err(given_up());
        }
        let now = Instant::now();
        if self.step_at.is_some_and(|at| now.duration_since(at) < STEP_EVERY) {
            return Ok(());
        }
        self.step_at = Some(now);
        self.tell(MaintenanceItem::Step(step()))
    }

    /// Tells of a fault. Blocks.
    ///
    /// # Errors
    /// `cancelled`.
    pub(crate) fn fault(&self, fault: Fault) -> Result<(), Refusal> {
        self.tell(MaintenanceItem::Fault(Box::new(fault)))
    }

    fn tell(&self, item: MaintenanceItem) -> Result<(), Refusal> {
        self.items.blocking_send(item).map_err(|_| given_up())
    }
}

fn given_up() -> Refusal {
    Refusal::new(ErrorCode::Cancelled, "the work on the repository was given up")
}

impl Repository {
    /// Carries out work on the repository as a whole. Dropping this drops the items' receiver too
    /// where one task has both, and then the work ends.
    ///
    /// # Errors
    /// `cancelled` where nobody hears any more; whatever the work refuses.
    pub async fn maintain(
        &self,
        work: Maintenance,
        mut told: Told,
    ) -> Result<MaintenanceOutcome, Refusal> {
        self.hop(move |inner| match work {
            Maintenance::Check(wanted) => {
                let checked = fsck::check(inner, wanted, &mut told)?;
                Ok(MaintenanceOutcome::Checked(Box::new(checked)))
            }
            Maintenance::Backup(wanted) => backup::make(inner, &wanted, &mut told)
                .map(|it| MaintenanceOutcome::BackedUp(Box::new(it))),
        })
        .await
    }
}
