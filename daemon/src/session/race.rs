//! Several ways to one server, of which any will do: begun one after the other, the first that gets
//! there wins and the others are dropped (as RFC 8305 does it with addresses). It knows nothing of
//! what is tried.

use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use tokio::time::sleep;

/// The lead of one before the next begins: the delay that RFC 8305 (section 8) recommends.
const LEAD: Duration = Duration::from_millis(250);

/// The first that succeeds; or why each did not, in the order of the ways. One that fails lets the
/// next begin at once. Cancel-safe as they are.
pub(super) async fn race<W, T, E, A>(
    ways: Vec<W>,
    mut attempt: impl FnMut(W) -> A,
) -> Result<T, Vec<E>>
where
    A: Future<Output = Result<T, E>>,
{
    let mut failed: Vec<Option<E>> = ways.iter().map(|_| None).collect();
    let mut ways = ways.into_iter().enumerate();
    let mut under_way = FuturesUnordered::new();
    let mut begin = |ways: &mut std::iter::Enumerate<std::vec::IntoIter<W>>| {
        let (at, way) = ways.next()?;
        let attempt = attempt(way);
        Some(async move { (at, attempt.await) })
    };
    loop {
        under_way.extend(begin(&mut ways));
        // Dropping the pause is safe, and attempts that have not ended stay where they are.
        tokio::select! {
            biased;
            ended = under_way.next() => match ended {
                Some((_, Ok(won))) => return Ok(won),
                Some((at, Err(error))) => failed[at] = Some(error),
                // None is left and none is to begin.
                None => return Err(failed.into_iter().flatten().collect()),
            },
            () = sleep(LEAD), if ways.len() > 0 => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;

    /// Each way takes so many ms and is good or not.
    async fn run(ways: &[(u64, bool)]) -> (Result<usize, Vec<usize>>, u128) {
        let start = Instant::now();
        let numbered = ways.iter().copied().enumerate().collect();
        let outcome = race(numbered, |(number, (ms, good)): (usize, (u64, bool))| async move {
            sleep(Duration::from_millis(ms)).await;
            if good { Ok(number) } else { Err(number) }
        });
        (outcome.await, start.elapsed().as_millis())
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_that_gets_there_wins() {
        assert_eq!(run(&[]).await, (Err(vec![]), 0));
        assert_eq!(run(&[(200, true), (0, true)]).await, (Ok(0), 200), "its lead was enough");
        assert_eq!(run(&[(9000, true), (100, true)]).await, (Ok(1), 350));
        assert_eq!(run(&[(10, false), (100, true)]).await, (Ok(1), 110), "no need to wait");
        assert_eq!(run(&[(9000, true), (0, false), (0, true)]).await, (Ok(2), 250));
        let (outcome, ms) = run(&[(600, false), (0, false), (10, false)]).await;
        assert_eq!((outcome, ms), (Err(vec![0, 1, 2]), 600), "told in their order");
    }
}
