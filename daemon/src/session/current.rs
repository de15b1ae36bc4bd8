//! Something that is so at the moment, for many who wait until it is otherwise.
//!
//! As tokio's `watch`, but whoever waits is woken in the order in which they began to: after a cut those
//! who have waited longest ask first (`watch` lets chance decide). The session's own.

use std::ops::Deref;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use tokio::sync::Notify;

/// What is so now. Cheap to clone.
#[derive(Debug)]
pub(super) struct Current<T>(Arc<Shared<T>>);

/// Somebody who has seen one of its states.
#[derive(Debug)]
pub(super) struct Seen<T> {
    shared: Arc<Shared<T>>,
    /// The number of the state that was seen.
    number: u64,
}

#[derive(Debug)]
struct Shared<T> {
    /// Its number, which grows, and the state.
    state: RwLock<(u64, T)>,
    changed: Notify,
}

/// A look at it: nothing changes meanwhile, so it is not held for long.
pub(super) struct Look<'a, T>(RwLockReadGuard<'a, (u64, T)>);

impl<T> Deref for Look<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0.1
    }
}

impl<T> Shared<T> {
    fn look(&self) -> Look<'_, T> {
        // It is changed by one assignment, so a panic elsewhere leaves it whole.
        Look(self.state.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl<T> Current<T> {
    pub(super) fn new(state: T) -> Self {
        Current(Arc::new(Shared { state: RwLock::new((0, state)), changed: Notify::new() }))
    }

    /// It is so from now on.
    pub(super) fn set(&self, state: T) {
        {
            let mut now = self.0.state.write().unwrap_or_else(PoisonError::into_inner);
            *now = (now.0 + 1, state);
        }
        self.0.changed.notify_waiters();
    }

    /// How it is.
    pub(super) fn look(&self) -> Look<'_, T> {
        self.0.look()
    }

    /// Somebody who has seen how it is now.
    pub(super) fn seen(&self) -> Seen<T> {
        let number = self.0.look().0.0;
        Seen { shared: self.0.clone(), number }
    }
}

impl<T> Seen<T> {
    /// How it is, seen by that.
    pub(super) fn look(&mut self) -> Look<'_, T> {
        let look = self.shared.look();
        self.number = look.0.0;
        look
    }

    /// Waits until it may be otherwise than it was seen, which it then is until it is looked at.
    /// Cancel-safe.
    pub(super) async fn changed(&self) {
        loop {
            // Made before the look: it hears of every change from here on.
            let changed = self.shared.changed.notified();
            if self.shared.look().0.0 != self.number {
                return;
            }
            changed.await;
        }
    }

    /// Waits until it is so. Cancel-safe.
    pub(super) async fn wait_for(&mut self, is_so: impl Fn(&T) -> bool) {
        while !is_so(&self.look()) {
            self.changed().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[tokio::test]
    async fn who_waits_longest_is_woken_first_and_nobody_misses_a_change() {
        let current = Current::new(0);
        let woken = Arc::new(Mutex::new(Vec::new()));
        let waiting: Vec<_> = (0..20)
            .map(|number| {
                let (mut seen, woken) = (current.seen(), woken.clone());
                tokio::spawn(async move {
                    seen.changed().await;
                    woken.lock().unwrap().push(number);
                    assert_eq!(*seen.look(), 1);
                    seen.wait_for(|now| *now == 3).await;
                })
            })
            .collect();
        let late = current.seen();
        tokio::task::yield_now().await;
        current.set(1);
        late.changed().await;
        tokio::task::yield_now().await;
        current.set(2);
        current.set(3);
        for task in waiting {
            task.await.unwrap();
        }
        assert_eq!(*woken.lock().unwrap(), (0..20).collect::<Vec<_>>());
        assert_eq!(*current.look(), 3);
    }
}
