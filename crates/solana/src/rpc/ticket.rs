//! The right to ask an endpoint now, and the queue of those who wait for it.
//!
//! # Design
//! A read needs room in the endpoint's window and a token of its rate. Where no endpoint has both it waits; but only so
//! many wait and only so long. Whoever comes after them is told at once that there is too much to do: an
//! answer that comes when nobody needs it any more helps nobody, and a queue without end takes the memory too.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use super::endpoint::Endpoint;
use super::error::RpcError;
use super::pool::{Inner, RpcConnectionPool, usable};
use super::route::choose;

/// Most reads that wait.
const WAITING_MAX: usize = 512;
/// Longest wait.
const WAIT_MAX: Duration = Duration::from_secs(30);
/// Longest time between two looks, should nobody who leaves have told us.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Those who wait.
#[derive(Debug, Default)]
pub(super) struct Queue {
    waiting: AtomicUsize,
    room: Notify,
}

/// A place in an endpoint's window, paid for; given back when dropped.
#[derive(Debug)]
pub(super) struct Ticket {
    pub(super) endpoint: Arc<Endpoint>,
    inner: Arc<Inner>,
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.endpoint.vitals().window.leave();
        self.inner.queue.room.notify_one();
    }
}

/// A place in the queue.
struct Waiter<'a>(&'a Queue);

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Queue {
    fn join(&self, method: &'static str) -> Result<Waiter<'_>, RpcError> {
        let waiter = Waiter(self);
        let waiting = self.waiting.fetch_add(1, Ordering::AcqRel);
        if waiting >= WAITING_MAX {
            return Err(RpcError::Overloaded { method, waiting });
        }
        Ok(waiter)
    }
}

/// Why there is no ticket now.
pub(super) enum Busy {
    /// No endpoint may be asked.
    Nobody,
    /// Look again after this time.
    Until(Duration),
}

impl RpcConnectionPool {
    /// Picks an endpoint and pays for the request, waiting if need be.
    pub(super) async fn pick(
        &self,
        method: &'static str,
        avoid: Option<&Arc<Endpoint>>,
    ) -> Result<Ticket, RpcError> {
        let (begun, queue) = (Instant::now(), &self.inner.queue);
        let mut waiter = None;
        loop {
            let mut room = pin!(queue.room.notified());
            // From here on nobody leaves unnoticed.
            room.as_mut().enable();
            let wait = match self.ticket(method, avoid) {
                Ok(ticket) => return Ok(ticket),
                Err(Busy::Nobody) => return Err(RpcError::NoEndpoint { method }),
                Err(Busy::Until(wait)) => wait,
            };
            if waiter.is_none() {
                waiter = Some(queue.join(method)?);
            }
            let Some(left) = WAIT_MAX.checked_sub(begun.elapsed()) else {
                let waiting = queue.waiting.load(Ordering::Acquire);
                return Err(RpcError::Overloaded { method, waiting });
            };
            // Elapsed or told: either way it is looked again.
            drop(tokio::time::timeout(wait.min(left), room).await);
        }
    }

    /// The better of two usable endpoints, or any that has room; `avoid` only if there is no other.
    pub(super) fn ticket(
        &self,
        method: &str,
        avoid: Option<&Arc<Endpoint>>,
    ) -> Result<Ticket, Busy> {
        let mut fit: Vec<_> = self.endpoints().iter().filter(|e| usable(e)).cloned().collect();
        if fit.len() > 1
            && let Some(avoid) = avoid
        {
            fit.retain(|endpoint| !Arc::ptr_eq(endpoint, avoid));
        }
        // Reserves last, in case nobody before them has room.
        fit.sort_by_key(|endpoint| endpoint.config.is_reserve());
        let first = fit.partition_point(|endpoint| !endpoint.config.is_reserve());
        let preferred = fit.get(..first).filter(|some| !some.is_empty()).unwrap_or(&fit);
        // Where others are about to ask, one more costs least.
        let gathering = preferred.iter().find(|endpoint| endpoint.gathers(method)).cloned();
        let best = gathering.or_else(|| choose(preferred, method, &self.inner.dice));
        let best = best.ok_or(Busy::Nobody)?;
        let mut wait = LOOK_EVERY;
        let others = fit.into_iter().filter(|endpoint| !Arc::ptr_eq(endpoint, &best));
        for endpoint in std::iter::once(Arc::clone(&best)).chain(others) {
            match enter(&endpoint) {
                Ok(()) => return Ok(Ticket { endpoint, inner: Arc::clone(&self.inner) }),
                Err(until) => wait = wait.min(until),
            }
        }
        Err(Busy::Until(wait))
    }
}

/// Takes a place and a token, or says when to look again.
fn enter(endpoint: &Endpoint) -> Result<(), Duration> {
    let now = Instant::now();
    let mut vitals = endpoint.vitals();
    vitals.window.enter(now).map_err(|until| until.unwrap_or(LOOK_EVERY))?;
    vitals.budget.take(now).inspect_err(|_| vitals.window.leave())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_so_many_wait_and_the_next_is_told() {
        let queue = Queue::default();
        let waiters: Vec<_> = (0..WAITING_MAX).map(|_| queue.join("m").unwrap()).collect();
        let refused = queue.join("m").err().unwrap();
        assert!(matches!(refused, RpcError::Overloaded { waiting: WAITING_MAX, .. }), "{refused}");
        drop(waiters);
        assert!(queue.join("m").is_ok() && queue.waiting.load(Ordering::Acquire) == 0);
    }
}
