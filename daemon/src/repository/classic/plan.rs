//! In which order entries are imported: those whose number is free first, because a new number, which
//! is the largest so far and one, must not be one that a later entry brings. Pure.

use std::collections::HashSet;

/// The places of these numbers, each group in the list's order: those that are the first of a number
/// that is free, then all others.
pub(super) fn order(numbers: &[u64], is_free: impl Fn(u64) -> bool) -> Vec<usize> {
    let mut seen = HashSet::new();
    let (mut kept, others): (Vec<usize>, Vec<usize>) =
        (0..numbers.len()).partition(|at| seen.insert(numbers[*at]) && is_free(numbers[*at]));
    kept.extend(others);
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_keeps_its_number_comes_before_what_gets_a_new_one() {
        let numbers = [1, 2, 5, 2, 6, 1];
        assert_eq!(order(&numbers, |_| true), [0, 1, 2, 4, 3, 5]);
        assert_eq!(order(&numbers, |number| number > 1), [1, 2, 4, 0, 3, 5]);
        assert_eq!(order(&[], |_| true), [0; 0]);
    }
}
