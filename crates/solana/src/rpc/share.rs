//! One request for all who ask the same, and one for several small ones.
//!
//! # Design
//! Who asks first leads and makes the request; who asks the same while it is under way waits for its answer. The same
//! is what is the same to the byte, the oldest state allowed included, so nobody is given an older state than its own
//! request would have been. A leader that is dropped leaves its place to the next: nobody waits for ever.
//!
//! Single accounts asked for in the same turn of the runtime become one `getMultipleAccounts`. Nobody waits for
//! company: the leader lets those run who are ready, and goes.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use sniper_core::ids::Address;
use tokio::sync::watch;

use super::accounts::ACCOUNTS_MAX;
use super::error::{EndpointName, RpcError};
use super::pool::RpcConnectionPool;
use super::types::{AccountInfo, At, Commitment};

/// Most requests that can be joined; beyond them each asks for itself.
const FLIGHTS_MAX: usize = 256;

/// Longest time that one waits for another's request. A leader whose future nobody polls must not hold up those who wait.
pub(super) const FOLLOW_MAX: Duration = Duration::from_secs(6);

/// Who answered, and the answer; or why not.
type Outcome = Result<(EndpointName, Bytes), Arc<RpcError>>;
/// Accounts in the order of the batch; or why not.
type BatchOutcome = Result<Arc<At<Vec<Option<AccountInfo>>>>, Arc<RpcError>>;

/// A request under way, and where its outcome will be told.
type Flight = (Bytes, watch::Receiver<Option<Outcome>>);

/// The requests under way that can be joined. There are few: to compare them all, which ends at the first letters that
/// differ, takes less than to hash one of a hundred keys.
#[derive(Debug, Default)]
pub(super) struct Flights(Mutex<Vec<Flight>>);

/// What to do with a question.
pub(super) enum Place<'a> {
    /// Ask, and tell the others.
    Lead(Lead<'a>),
    /// Somebody has asked.
    Follow(watch::Receiver<Option<Outcome>>),
    /// Ask for oneself.
    Alone,
}

/// The duty to tell those who wait. Dropped without a word, it passes to one of them.
pub(super) struct Lead<'a> {
    flights: &'a Flights,
    body: Bytes,
    told: watch::Sender<Option<Outcome>>,
}

impl Flights {
    fn table(&self) -> MutexGuard<'_, Vec<Flight>> {
        // Every change is one insertion or removal.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn place(&self, body: &Bytes) -> Place<'_> {
        let mut table = self.table();
        if let Some((_, told)) = table.iter().find(|(other, _)| other == body) {
            return Place::Follow(told.clone());
        }
        if table.len() >= FLIGHTS_MAX {
            return Place::Alone;
        }
        let (told, waiting) = watch::channel(None);
        table.push((body.clone(), waiting));
        Place::Lead(Lead { flights: self, body: body.clone(), told })
    }
}

impl Lead<'_> {
    pub(super) fn tell(self, outcome: Outcome) {
        // Nobody may be waiting.
        self.told.send_replace(Some(outcome));
    }
}

impl Drop for Lead<'_> {
    fn drop(&mut self) {
        let mut table = self.flights.table();
        // Nobody else flies the same.
        if let Some(place) = table.iter().position(|(other, _)| *other == self.body) {
            drop(table.swap_remove(place));
        }
    }
}

/// What a leader told.
pub(super) enum Told<T> {
    This(T),
    /// It was dropped before.
    Nothing,
    /// Nothing yet, and the time is over.
    TooLate,
}

/// Waits for a leader's word.
pub(super) async fn told<T: Clone>(
    mut from: watch::Receiver<Option<T>>,
    patience: Duration,
) -> Told<T> {
    match tokio::time::timeout(patience, from.wait_for(Option::is_some)).await {
        Ok(Ok(told)) => (*told).clone().map_or(Told::Nothing, Told::This),
        Ok(Err(_)) => Told::Nothing,
        Err(_) => Told::TooLate,
    }
}

/// The addresses of a batch until its leader takes them.
type Addresses = Arc<Mutex<Option<Vec<Address>>>>;

/// A batch that can still be joined.
#[derive(Debug)]
struct Open {
    addresses: Addresses,
    told: watch::Receiver<Option<BatchOutcome>>,
}

/// The batches that gather, one for each commitment.
#[derive(Debug, Default)]
pub(super) struct Batches([Mutex<Option<Open>>; 3]);

enum Seat {
    Lead(Addresses, watch::Sender<Option<BatchOutcome>>),
    Follow(usize, watch::Receiver<Option<BatchOutcome>>),
}

impl Batches {
    fn seat(&self, address: &Address, commitment: Commitment) -> Seat {
        let [processed, confirmed, finalized] = &self.0;
        let open = match commitment {
            Commitment::Processed => processed,
            Commitment::Confirmed => confirmed,
            Commitment::Finalized => finalized,
        };
        let mut open = open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(Open { addresses, told }) = &*open
            && told.has_changed().is_ok()
            && let Some(addresses) = &mut *lock(addresses)
            && addresses.len() < ACCOUNTS_MAX
        {
            let known = addresses.iter().position(|known| known == address);
            let place = known.unwrap_or(addresses.len());
            if known.is_none() {
                addresses.push(*address);
            }
            return Seat::Follow(place, told.clone());
        }
        let addresses: Addresses = Arc::new(Mutex::new(Some(vec![*address])));
        let (teller, told) = watch::channel(None);
        *open = Some(Open { addresses: Arc::clone(&addresses), told });
        Seat::Lead(addresses, teller)
    }
}

fn lock(addresses: &Addresses) -> MutexGuard<'_, Option<Vec<Address>>> {
    // Every change is one insertion, or the whole taken.
    addresses.lock().unwrap_or_else(PoisonError::into_inner)
}

impl RpcConnectionPool {
    /// An account, or none. Several asked for at the same moment are read together, and are of one state then.
    ///
    /// # Errors
    /// As every read: see [`RpcError`].
    pub async fn account(
        &self,
        address: &Address,
        commitment: Commitment,
    ) -> Result<At<Option<AccountInfo>>, RpcError> {
        loop {
            let (place, outcome) = match self.inner.batches.seat(address, commitment) {
                Seat::Lead(addresses, teller) => {
                    // Whoever is ready to run may join.
                    tokio::task::yield_now().await;
                    let addresses = lock(&addresses).take().unwrap_or_default();
                    if addresses.len() < 2 {
                        return self.single_account(address, commitment).await;
                    }
                    let read = self.multiple_accounts(&addresses, commitment, None).await;
                    let outcome = read.map(Arc::new).map_err(Arc::new);
                    teller.send_replace(Some(outcome.clone()));
                    (0, outcome)
                }
                Seat::Follow(place, waiting) => match told(waiting, FOLLOW_MAX).await {
                    Told::This(outcome) => (place, outcome),
                    Told::Nothing => continue,
                    Told::TooLate => return self.single_account(address, commitment).await,
                },
            };
            return match outcome {
                Ok(all) => {
                    let value = all.value.get(place).cloned().flatten();
                    Ok(At { slot: all.slot, value })
                }
                // Together they are too much, each may not be.
                Err(error) if matches!(*error, RpcError::TooLarge { .. }) => {
                    self.single_account(address, commitment).await
                }
                Err(error) => Err(error.twin()),
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_leader_that_is_dropped_leaves_its_place() {
        let flights = Flights::default();
        let body = Bytes::from_static(b"question");
        let Place::Lead(lead) = flights.place(&body) else { panic!("the first leads") };
        let Place::Follow(waiting) = flights.place(&body) else { panic!("the second follows") };
        drop(lead);
        assert!(matches!(told(waiting, FOLLOW_MAX).await, Told::Nothing));
        let Place::Lead(lead) = flights.place(&body) else { panic!("the next leads") };
        let Place::Follow(waiting) = flights.place(&body) else { panic!("and is followed") };
        lead.tell(Ok(("a".into(), Bytes::new())));
        let Told::This(Ok((name, _))) = told(waiting, FOLLOW_MAX).await else { panic!("told") };
        assert_eq!(&*name, "a");
        assert!(flights.table().is_empty(), "nothing stays behind");
    }

    #[tokio::test]
    async fn a_leader_that_nobody_drives_on_is_not_waited_for_for_ever() {
        let flights = Flights::default();
        let body = Bytes::from_static(b"question");
        let Place::Lead(_idle) = flights.place(&body) else { panic!("the first leads") };
        let Place::Follow(waiting) = flights.place(&body) else { panic!("the second follows") };
        assert!(matches!(told(waiting, Duration::from_millis(20)).await, Told::TooLate));
    }

    #[test]
    fn more_questions_than_can_be_joined_are_asked_all_the_same() {
        let flights = Flights::default();
        let bodies: Vec<_> = (0..=FLIGHTS_MAX).map(|n| Bytes::from(n.to_string())).collect();
        let places: Vec<_> = bodies.iter().map(|body| flights.place(body)).collect();
        assert!(matches!(places.last(), Some(Place::Alone)));
        assert!(flights.table().len() == FLIGHTS_MAX);
    }

    #[test]
    fn a_full_batch_is_left_to_its_leader_and_another_begins() {
        let batches = Batches::default();
        let seat = |n: usize| {
            let mut key = [0; 32];
            key[..8].copy_from_slice(&n.to_le_bytes());
            batches.seat(&Address::new_from_array(key), Commitment::Confirmed)
        };
        let Seat::Lead(first, _alive) = seat(0) else { panic!("the first leads") };
        for n in 1..ACCOUNTS_MAX {
            assert!(matches!(seat(n), Seat::Follow(place, _) if place == n));
        }
        assert!(matches!(seat(ACCOUNTS_MAX), Seat::Lead(..)));
        assert_eq!(lock(&first).as_ref().unwrap().len(), ACCOUNTS_MAX);
    }
}
