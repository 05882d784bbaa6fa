//! Sorting by merging. The sorts of the standard library keep dozens of elements on the stack at each of many levels, more than a
//! component's small stack holds. This one has no levels: it merges runs that double in length.

use std::cmp::Ordering;

/// Sorts elements. Equal ones keep their order.
pub fn sort<T>(elements: Vec<T>, compare: impl Fn(&T, &T) -> Ordering) -> Vec<T> {
    let mut order: Vec<usize> = (0..elements.len()).collect();
    let mut merged = Vec::with_capacity(order.len());
    let mut run = 1;
    while run < order.len() {
        for pair in order.chunks(2 * run) {
            let (mut left, mut right) = pair.split_at(run.min(pair.len()));
            while let ([a, after_a @ ..], [b, after_b @ ..]) = (left, right) {
                if compare(&elements[*b], &elements[*a]).is_lt() {
                    merged.push(*b);
                    right = after_b;
                } else {
                    merged.push(*a);
                    left = after_a;
                }
            }
            merged.extend_from_slice(left);
            merged.extend_from_slice(right);
        }
        std::mem::swap(&mut order, &mut merged);
        merged.clear();
        run *= 2;
    }
    let mut elements: Vec<Option<T>> = elements.into_iter().map(Some).collect();
    order.into_iter().filter_map(|at| elements[at].take()).collect()
}

#[cfg(test)]
mod tests {
    use super::sort;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_order_is_that_of_a_stable_sort(numbers in prop::collection::vec(0..50_u8, 0..200)) {
            let numbered: Vec<_> = numbers.into_iter().enumerate().collect();
            let mut expected = numbered.clone();
            expected.sort_by_key(|&(_, number)| number);
            prop_assert_eq!(sort(numbered, |a, b| a.1.cmp(&b.1)), expected);
        }
    }
}
