//! Requests on their way to an endpoint: each to its end, and several small ones of one moment as one.
//!
//! # Design
//! A request runs in a task of its own, whoever waits for it. Torn off when another endpoint was quicker, it would take
//! its connection with it, and nobody would learn how long it takes there.
//!
//! Quick requests that are made in the same turn of the runtime go as one JSON-RPC batch, if the endpoint has shown that
//! it answers one ([`Endpoint::learn_batching`]). Nobody waits for company: whoever is ready to run may join, then it
//! goes. Each is paid for, timed and judged for itself; a batch that fails is booked once. An endpoint that turns out to
//! refuse batches after all gets the same requests one by one, and no batch again.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::future::join_all;
use tokio::sync::oneshot;

use super::endpoint::{Endpoint, Limits};
use super::error::RpcError;
use super::read::{SMALL_ANSWER, Weight};
use super::ticket::Ticket;
use super::wire::{self, BATCH_MAX, Batch};

/// What a batch is called where methods are.
const BATCH: &str = "batch";
/// Longest body of a batch; nodes take 50 KiB by default.
const BATCH_BYTES: usize = 32 << 10;
/// How long a first batch is waited for.
const LEARN_PATIENCE: Duration = Duration::from_secs(2);
/// After so many tries that came to nothing an endpoint is taken for one that does not batch.
const LEARN_TRIES: u8 = 3;

type Answer = Result<Bytes, RpcError>;

/// Requests that wait until those who are ready to run have joined them.
#[derive(Default)]
pub(super) struct Gather(Mutex<Vec<Question>>);

/// One request, and who waits for its answer.
struct Question {
    method: &'static str,
    body: Bytes,
    limits: Limits,
    started: Instant,
    /// Its place in the endpoint's window, until it is answered.
    _place: Option<Ticket>,
    asker: oneshot::Sender<Answer>,
}

impl Question {
    /// Tells the answer; books it where nobody waits for it any longer.
    fn tell(self, endpoint: &Endpoint, answer: Answer) {
        let heard = answer.is_ok().then(Instant::now);
        endpoint.vitals().ended(self.started, heard);
        if let Err(answer) = self.asker.send(answer) {
            endpoint.book(self.method, self.started, answer.as_ref().err());
        }
    }
}

impl fmt::Debug for Gather {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Gather").field(&self.questions().len()).finish()
    }
}

enum Joined {
    /// To be sent by whoever is told so, after a turn of the runtime.
    First,
    Others,
    /// There is no room for it.
    Alone(Question),
}

impl Gather {
    fn questions(&self) -> MutexGuard<'_, Vec<Question>> {
        // Every change is one push, or the whole taken.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn has_room(questions: &[Question]) -> bool {
        let bytes: usize = questions.iter().map(|question| question.body.len()).sum();
        questions.len() < BATCH_MAX && bytes < BATCH_BYTES
    }

    fn join(&self, question: Question) -> Joined {
        let mut questions = self.questions();
        let is_first = questions.is_empty();
        if !Self::has_room(&questions) || question.body.len() > BATCH_BYTES / 2 {
            return Joined::Alone(question);
        }
        questions.push(question);
        if is_first { Joined::First } else { Joined::Others }
    }
}

/// Whether a request is answered so quickly by every node that others may wait for it: no history is searched.
fn may_go_along(method: &str, body: &[u8]) -> bool {
    is_quick(method) && memchr::memmem::find(body, br#""searchTransactionHistory":true"#).is_none()
}

/// Methods that every node answers out of what it has at hand.
fn is_quick(method: &str) -> bool {
    matches!(
        method,
        "getBalance"
            | "getBlockHeight"
            | "getEpochInfo"
            | "getLatestBlockhash"
            | "getMinimumBalanceForRentExemption"
            | "getRecentPrioritizationFees"
            | "getSignatureStatuses"
            | "getSlot"
            | "getTokenAccountBalance"
    )
}

impl Endpoint {
    /// Whether a request of this method could go with others that are about to.
    pub(super) fn gathers(&self, method: &str) -> bool {
        let questions = self.gather.questions();
        is_quick(method) && !questions.is_empty() && Gather::has_room(&questions)
    }

    /// Sends a request that nobody can take back, and gives its answer; judge it, then [`Self::book`] it.
    pub(super) async fn submit(
        self: &Arc<Self>,
        method: &'static str,
        body: Bytes,
        started: Instant,
        place: Option<Ticket>,
    ) -> Answer {
        let (asker, told) = oneshot::channel();
        let limits = self.limits(method, Weight::Light);
        let may_join = {
            let mut vitals = self.vitals();
            vitals.ask(started);
            may_go_along(method, &body) && vitals.batches == Some(true)
        };
        let question = Question { method, body, limits, started, _place: place, asker };
        let joined = if may_join { self.gather.join(question) } else { Joined::Alone(question) };
        let endpoint = Arc::clone(self);
        match joined {
            Joined::Alone(question) => {
                drop(tokio::spawn(async move { endpoint.ask_one(question).await }));
            }
            Joined::First => drop(tokio::spawn(async move {
                // Whoever is ready to run may join.
                tokio::task::yield_now().await;
                let questions = std::mem::take(&mut *endpoint.gather.questions());
                endpoint.ask_all(questions).await;
            })),
            Joined::Others => {}
        }
        told.await.unwrap_or_else(|_| {
            let what = "the task that asked has ended".to_owned();
            Err(RpcError::Shared { endpoint: self.name().clone(), method, what })
        })
    }

    async fn ask_one(&self, question: Question) {
        let answer = self.ask(question.method, question.body.clone(), question.limits).await;
        question.tell(self, answer);
    }

    async fn ask_all(&self, mut questions: Vec<Question>) {
        if questions.len() < 2 {
            if let Some(question) = questions.pop() {
                self.ask_one(question).await;
            }
            return;
        }
        // A node may answer one after the other.
        let longest = questions.iter().map(|question| question.limits.timeout).max();
        let timeout = longest.unwrap_or_default().saturating_mul(2).min(Weight::Light.timeouts().1);
        let bodies = questions.iter().map(|question| &question.body);
        match self.ask_batch(bodies, timeout).await {
            Ok(Batch::Parts(parts)) => {
                for (question, part) in questions.into_iter().zip(parts) {
                    let (endpoint, method) = (self.name().clone(), question.method);
                    let answer =
                        part.map_err(|what| RpcError::Impossible { endpoint, method, what });
                    question.tell(self, answer);
                }
            }
            Ok(Batch::Refused) => {
                self.vitals().batches = Some(false);
                tracing::info!(endpoint = %self.name(), "endpoint takes no batches, asked one by one from now on");
                join_all(questions.into_iter().map(|question| self.ask_one(question))).await;
            }
            Err(error) => {
                let what = error.to_string();
                let mut error = Some(error);
                for question in questions {
                    let shared = || RpcError::Shared {
                        endpoint: self.name().clone(),
                        method: question.method,
                        what: what.clone(),
                    };
                    // Once: one answer was bad, however many were in it.
                    let answer = Err(error.take().unwrap_or_else(shared));
                    question.tell(self, answer);
                }
            }
        }
    }

    async fn ask_batch<'a>(
        &self,
        bodies: impl ExactSizeIterator<Item = &'a Bytes>,
        timeout: Duration,
    ) -> Result<Batch, RpcError> {
        let count = bodies.len();
        let answer_bytes = SMALL_ANSWER.saturating_mul(2);
        let answer = self.ask(BATCH, wire::batch(bodies), Limits { timeout, answer_bytes }).await;
        match answer {
            Ok(bytes) => wire::open_batch(self.name(), BATCH, &bytes, count),
            // What a server says of what it does not understand, or does not take.
            Err(RpcError::Status { status: 400..=407 | 409..=499, .. }) => Ok(Batch::Refused),
            // One by one they may fit.
            Err(RpcError::TooLarge { .. }) => Ok(Batch::Refused),
            Err(error) => Err(error),
        }
    }

    /// Finds out whether the endpoint answers several requests in one, where that is not known. Trouble of another kind
    /// leaves it unknown; counts neither for nor against the endpoint.
    pub(super) async fn learn_batching(&self) {
        {
            let mut vitals = self.vitals();
            if vitals.batches.is_some() {
                return;
            }
            let now = Instant::now();
            vitals.budget.take_in_debt(now);
            vitals.budget.take_in_debt(now);
        }
        let none: [(); 0] = [];
        let bodies: Result<Vec<_>, _> = ["getSlot", "getBlockHeight"]
            .map(|method| wire::request(method, &none))
            .into_iter()
            .collect();
        let Ok(bodies) = bodies else { return };
        let answered = self.ask_batch(bodies.iter(), LEARN_PATIENCE).await;
        let is_number = |part: &Result<Bytes, _>| {
            part.as_ref().is_ok_and(|part| wire::open::<u64>(self.name(), BATCH, part).is_ok())
        };
        let mut vitals = self.vitals();
        vitals.batches = match answered {
            Ok(Batch::Parts(parts)) if parts.iter().all(is_number) => Some(true),
            Ok(_) => Some(false),
            Err(_) => {
                vitals.batch_tries = vitals.batch_tries.saturating_add(1);
                (vitals.batch_tries >= LEARN_TRIES).then_some(false)
            }
        };
    }
}
