//! The requests of one v2 session that are under way, by number. The reader admits them, whoever
//! answers one closes it: closing succeeds once, so a request gets one final reply and no more.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::task::AbortHandle;

use imgrepo_proto::session::RequestId;

use super::intake::Intake;
use crate::link::window::SendFlow;

/// The requests under way.
#[derive(Debug)]
pub(super) struct Requests {
    most: usize,
    table: Mutex<Table>,
}

#[derive(Debug, Default)]
struct Table {
    last: RequestId,
    open: BTreeMap<RequestId, Open>,
}

#[derive(Debug)]
struct Open {
    flow: Flow,
    /// The task that carries it out; None until it is known, and for changes.
    task: Option<AbortHandle>,
    /// It is handed over to the repository for good.
    committing: bool,
}

impl Open {
    fn can_be_given_up(&self) -> bool {
        self.task.is_some() && !self.committing
    }
}

/// The content that belongs to a request.
#[derive(Debug, Clone)]
pub(super) enum Flow {
    /// There is none.
    None,
    /// It comes in.
    In(Arc<Intake>),
    /// It goes out.
    Out(SendFlow),
}

/// What a number is good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Admission {
    /// A new request.
    New,
    /// It has been used, and its request has ended.
    Used,
    /// It has been used, and its request is under way.
    UnderWay,
}

/// What became of giving up a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cancelled {
    /// It ends now, and whoever gave it up has to say so.
    Now,
    /// It has ended, or is being committed and ends with its own reply.
    TooLate,
    /// There never was such a request.
    Unknown,
}

impl Requests {
    pub(super) fn new(most: u32) -> Self {
        Requests { most: most as usize, table: Mutex::default() }
    }

    /// Uses up a number.
    pub(super) fn admit(&self, id: RequestId) -> Admission {
        let mut table = self.lock();
        if table.open.contains_key(&id) {
            return Admission::UnderWay;
        }
        if id <= table.last {
            return Admission::Used;
        }
        table.last = id;
        Admission::New
    }

    /// Opens an admitted request; false where too many are under way.
    pub(super) fn open(&self, id: RequestId, flow: Flow) -> bool {
        let mut table = self.lock();
        if table.open.len() >= self.most {
            return false;
        }
        table.open.insert(id, Open { flow, task: None, committing: false });
        true
    }

    /// Names the task that carries a request out, unless it has ended already.
    pub(super) fn carried_out_by(&self, id: RequestId, task: AbortHandle) {
        if let Some(open) = self.lock().open.get_mut(&id) {
            open.task = Some(task);
        }
    }

    /// The content of a request; None where it has ended. The error: there never was one.
    pub(super) fn flow(&self, id: RequestId) -> Result<Option<Flow>, ()> {
        let table = self.lock();
        match table.open.get(&id) {
            Some(open) => Ok(Some(open.flow.clone())),
            None if id <= table.last => Ok(None),
            None => Err(()),
        }
    }

    /// From now on the request cannot be given up. False where it has been.
    pub(super) fn commit(&self, id: RequestId) -> bool {
        // The task may be further than its name is known here: it is the flag that counts.
        self.lock().open.get_mut(&id).map(|open| open.committing = true).is_some()
    }

    /// Ends a request. False where it has ended before.
    pub(super) fn close(&self, id: RequestId) -> bool {
        let open = self.lock().open.remove(&id);
        open.is_some()
    }

    /// Ends a request and its task.
    pub(super) fn give_up(&self, id: RequestId) -> Cancelled {
        let mut table = self.lock();
        match table.open.get(&id).map(Open::can_be_given_up) {
            Some(true) => {}
            Some(false) => return Cancelled::TooLate,
            None if id <= table.last => return Cancelled::TooLate,
            None => return Cancelled::Unknown,
        }
        let open = table.open.remove(&id);
        drop(table);
        if let Some(task) = open.and_then(|open| open.task) {
            task.abort();
        }
        Cancelled::Now
    }

    /// The uploads under way.
    pub(super) fn incoming(&self) -> Vec<RequestId> {
        let table = self.lock();
        let uploads = table.open.iter().filter(|(_, open)| matches!(open.flow, Flow::In(_)));
        uploads.map(|(&id, _)| id).collect()
    }

    /// The session ends: gives up all that is not being committed.
    pub(super) fn give_up_all(&self) {
        let given_up = {
            let mut table = self.lock();
            let open = std::mem::take(&mut table.open).into_iter();
            let (go, stay) = open.partition(|(_, open)| open.can_be_given_up());
            table.open = stay;
            go
        };
        let given_up: BTreeMap<RequestId, Open> = given_up;
        for task in given_up.into_values().filter_map(|open| open.task) {
            task.abort();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_rise_and_are_used_once() {
        let requests = Requests::new(2);
        assert_eq!(requests.admit(5), Admission::New);
        assert!(requests.open(5, Flow::None));
        assert_eq!(requests.admit(5), Admission::UnderWay);
        assert_eq!(requests.admit(4), Admission::Used);
        assert!(requests.close(5));
        assert!(!requests.close(5), "one final reply");
        assert_eq!(requests.admit(5), Admission::Used);
        assert_eq!(requests.admit(u32::MAX), Admission::New);
    }

    #[test]
    fn no_more_than_the_limit_are_open() {
        let requests = Requests::new(2);
        assert!(requests.open(1, Flow::None) && requests.open(2, Flow::None));
        assert!(!requests.open(3, Flow::None));
        assert!(requests.close(1));
        assert!(requests.open(4, Flow::None));
    }

    #[tokio::test]
    async fn what_is_committed_is_not_given_up() {
        let requests = Requests::new(9);
        let task = || tokio::spawn(std::future::pending::<()>());
        let (one, two) = (task(), task());
        for (id, task) in [(1, &one), (2, &two)] {
            assert_eq!(requests.admit(id), Admission::New);
            assert!(requests.open(id, Flow::None));
            requests.carried_out_by(id, task.abort_handle());
        }
        assert_eq!(requests.give_up(1), Cancelled::Now);
        assert!(one.await.unwrap_err().is_cancelled());
        assert_eq!(requests.give_up(1), Cancelled::TooLate);
        assert!(requests.commit(2));
        assert_eq!(requests.give_up(2), Cancelled::TooLate);
        requests.give_up_all();
        assert!(requests.close(2), "its reply is still to come");
        assert_eq!(requests.give_up(3), Cancelled::Unknown);
        assert!(!requests.commit(1));
        // One that is committed before the reader has named its task.
        let early = task();
        assert!(requests.open(4, Flow::None));
        assert!(requests.commit(4));
        requests.carried_out_by(4, early.abort_handle());
        assert_eq!(requests.give_up(4), Cancelled::TooLate);
        early.abort();
        two.abort();
    }
}
