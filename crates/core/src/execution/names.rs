//! Whose bytes are whose.

use crate::ids::{OrderId, Signature};

/// Remembered at most. A blockhash lives for about a minute, in which far fewer orders are approved.
const MAX: usize = 512;

/// Signatures of late orders, so that no two orders share one: their bytes would be the same, one landing would be told
/// as two.
#[derive(Clone, Debug)]
pub(super) struct Names {
    /// The first bytes of each signature, looked through as one run of memory: they are as good as random.
    marks: Vec<u64>,
    names: Vec<(Signature, OrderId)>,
    next: usize,
}

impl Names {
    pub(super) fn new() -> Self {
        Self { marks: Vec::with_capacity(MAX), names: Vec::with_capacity(MAX), next: 0 }
    }

    /// Takes a signature for an order; false if another order has it.
    pub(super) fn claim(&mut self, signature: Signature, order: OrderId) -> bool {
        let mark = mark(&signature);
        for (at, known) in self.marks.iter().enumerate() {
            if *known == mark
                && let Some((name, holder)) = self.names.get(at)
                && *name == signature
            {
                return *holder == order;
            }
        }
        if self.names.len() < MAX {
            self.marks.push(mark);
            self.names.push((signature, order));
            return true;
        }
        if let (Some(old), Some(name)) =
            (self.marks.get_mut(self.next), self.names.get_mut(self.next))
        {
            *old = mark;
            *name = (signature, order);
        }
        self.next = self.next.saturating_add(1).checked_rem(MAX).unwrap_or(0);
        true
    }
}

fn mark(signature: &Signature) -> u64 {
    let first = signature.0.first_chunk();
    first.map_or(0, |bytes| u64::from_le_bytes(*bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::Seq;

    fn order(cause: u64) -> OrderId {
        OrderId { cause: Seq::new(cause), nth: 0 }
    }

    fn name(nth: u64) -> Signature {
        let mut bytes = [7; 64];
        // The same first bytes for all: a mark alone decides nothing.
        bytes[40..48].copy_from_slice(&nth.to_le_bytes());
        Signature(bytes)
    }

    #[test]
    fn a_signature_has_one_order_until_far_more_have_come_than_live() {
        let mut names = Names::new();
        for nth in 0..10_000 {
            assert!(names.claim(name(nth), order(nth)));
            assert!(names.claim(name(nth), order(nth)), "its own");
            assert!(!names.claim(name(nth.saturating_sub(500)), order(20_000)), "{nth}");
        }
        assert_eq!(names.names.len(), MAX);
        assert_eq!((names.names.capacity(), names.marks.capacity()), (MAX, MAX));
    }
}
