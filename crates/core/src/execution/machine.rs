//! The machine that follows every order to its end.

use super::input::{Commitment, Input, Landing, Output, Status};
use super::names::Names;
use super::quorum::is_majority;
use super::words::{Death, Finality, Word, death, finality};
use crate::event::{OrderEvent, RejectReason};
use crate::ids::{OrderId, Signature};
use crate::units::{BlockHeight, Timestamp};

/// When the machine does what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Least pause between two looks at how far an order has come.
    pub poll_every: Timestamp,
    /// Pause before the same bytes go out again.
    pub resend_every: Timestamp,
    /// Pause between two looks at the block height, and between two asks of all endpoints for their word on an order.
    pub expiry_every: Timestamp,
    /// A node must think well of the bytes before they are written down.
    pub simulate: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            poll_every: Timestamp::from_millis(300),
            resend_every: Timestamp::from_millis(2_000),
            expiry_every: Timestamp::from_millis(2_000),
            simulate: false,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Stage {
    /// Approved: it is being built and signed.
    Building,
    /// Signed: a node is asked what it would do.
    Simulating,
    /// Signed: nothing happens before its record is durable.
    Barrier,
    /// Its record may be on the disk or not: never sent, and left to the next start.
    Jammed,
    /// Under way.
    Flying,
    /// Told as landed, and not final yet.
    Landed(Landing),
}

#[derive(Clone, Debug)]
struct Flight {
    order: OrderId,
    stage: Stage,
    signature: Signature,
    last_valid: BlockHeight,
    /// When its bytes last went out; none for one that an earlier process may or may not have sent.
    sent: Option<Timestamp>,
    asked: Option<Timestamp>,
    worded: Option<Timestamp>,
    /// What was last said: it is confirmed, or not; none while nobody has answered.
    known: Option<bool>,
    /// It may have landed long ago: nodes must search their history.
    search: bool,
    /// A landing of it was taken back: a single node's word no longer does.
    doubted: bool,
}

/// Follows orders: a value that is told and answers. See the module's laws.
#[derive(Clone, Debug)]
pub struct Machine {
    settings: Settings,
    flights: Vec<Flight>,
    names: Names,
    /// The highest order that was ever given.
    newest: Option<OrderId>,
    /// The highest order whose record was ever durable.
    written: Option<OrderId>,
    /// The order that was last thrown away, and may be given again.
    dropped: Option<OrderId>,
    /// Time that has passed: a clock that is set back stands still until it moves on.
    clock: Timestamp,
    last: Option<Timestamp>,
    confirmed: Option<BlockHeight>,
    finalized: Option<BlockHeight>,
    height_asked: Option<Timestamp>,
    killed: bool,
    jammed: bool,
}

/// Orders in flight for which nothing must be allocated.
const FLIGHTS: usize = 256;

impl Machine {
    /// A machine that knows no order.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        Self {
            settings,
            flights: Vec::with_capacity(FLIGHTS),
            names: Names::new(),
            newest: None,
            written: None,
            dropped: None,
            clock: Timestamp::ZERO,
            last: None,
            confirmed: None,
            finalized: None,
            height_asked: None,
            killed: false,
            jammed: false,
        }
    }

    /// Takes what happened at `at` and adds what is to be done, in that order.
    pub fn step(&mut self, at: Timestamp, input: Input<'_>, out: &mut Vec<Output>) {
        if let Some(last) = self.last.replace(at) {
            let passed = at.saturating_sub(last).max(Timestamp::ZERO);
            self.clock = self.clock.saturating_add(passed);
        }
        match input {
            Input::Approved { order, expires } => self.approved(order, expires, at, out),
            Input::Unsigned { order, reason } => self.reject(order, Stage::Building, reason, out),
            Input::Signed { order, signature, last_valid } => {
                self.signed(order, signature, last_valid, out);
            }
            Input::Simulated { signature, good } => self.simulated(signature, good, out),
            Input::Durable { signature } => self.durable(signature, out),
            Input::NotDurable { signature } => {
                self.jammed = true;
                if let Some(flight) = self.at_stage(signature, &Stage::Barrier) {
                    flight.stage = Stage::Jammed;
                }
            }
            Input::Dropped { order } => self.dropped(order),
            Input::Recovered { order, signature, last_valid, landing } => {
                self.recovered(order, signature, last_valid, landing);
            }
            Input::Height { commitment, height, said, of } => {
                if is_majority(said, of) {
                    self.height(commitment, height, out);
                }
            }
            Input::Status { signature, status } => self.status(signature, status, out),
            Input::Read { signature, landing } => self.read(signature, landing, out),
            Input::Words { signature, of, words } => self.words(signature, of, words, out),
            Input::Kill { engaged } => {
                self.killed = engaged;
                while engaged
                    && let Some(flight) = self.flights.iter().find(|f| f.stage == Stage::Building)
                {
                    let reason = RejectReason::SignerRefused;
                    self.reject(flight.order, Stage::Building, reason, out);
                }
            }
            Input::Timer => self.timer(out),
        }
    }

    /// Orders whose end is not known.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.flights.iter().filter(|f| !matches!(f.stage, Stage::Landed(_))).count()
    }

    /// Whether there is nothing to follow: no order in flight, and none that is not final.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.flights.is_empty()
    }

    /// Whether an order is followed, its bytes and where they may still land.
    #[must_use]
    pub fn bytes_of(&self, order: OrderId) -> Option<(Signature, BlockHeight)> {
        self.flight(order).map(|flight| (flight.signature, flight.last_valid))
    }

    fn flight(&self, order: OrderId) -> Option<&Flight> {
        self.flights.iter().find(|f| f.order == order)
    }

    /// The flight of these bytes, if it has got exactly that far.
    fn at_stage(&mut self, signature: Signature, stage: &Stage) -> Option<&mut Flight> {
        self.flights.iter_mut().find(|f| f.stage == *stage && f.signature == signature)
    }

    fn approved(
        &mut self,
        order: OrderId,
        expires: Timestamp,
        at: Timestamp,
        out: &mut Vec<Output>,
    ) {
        let is_again = self.dropped.take() == Some(order);
        let is_known = self.newest.is_some_and(|newest| order <= newest) && !is_again;
        if is_known || self.flight(order).is_some() {
            return;
        }
        self.newest = self.newest.max(Some(order));
        let refused = if self.killed {
            Some(RejectReason::SignerRefused)
        } else if self.jammed {
            Some(RejectReason::NotDurable)
        } else if at >= expires {
            Some(RejectReason::TooLate)
        } else {
            None
        };
        if let Some(reason) = refused {
            out.push(Output::Tell(OrderEvent::Rejected { order, reason }));
            return;
        }
        self.flights.push(Flight {
            order,
            stage: Stage::Building,
            signature: Signature([0; 64]),
            last_valid: BlockHeight::ZERO,
            sent: None,
            asked: None,
            worded: None,
            known: None,
            search: false,
            doubted: false,
        });
        out.push(Output::Build(order));
    }

    fn dropped(&mut self, order: OrderId) {
        if self.written.is_some_and(|written| order <= written) {
            return;
        }
        self.flights.retain(|f| {
            f.order != order || matches!(f.stage, Stage::Jammed | Stage::Flying | Stage::Landed(_))
        });
        if self.flight(order).is_none() {
            self.dropped = Some(order);
        }
    }

    /// Only what is still at `stage`, none of which is on the disk, can be rejected.
    fn reject(
        &mut self,
        order: OrderId,
        stage: Stage,
        reason: RejectReason,
        out: &mut Vec<Output>,
    ) {
        if let Some(at) = self.flights.iter().position(|f| f.order == order && f.stage == stage) {
            self.flights.swap_remove(at);
            out.push(Output::Tell(OrderEvent::Rejected { order, reason }));
        }
    }

    fn signed(
        &mut self,
        order: OrderId,
        signature: Signature,
        last_valid: BlockHeight,
        out: &mut Vec<Output>,
    ) {
        // A second signature finds no flight that waits for one.
        let is_waiting = |f: &Flight| f.order == order && f.stage == Stage::Building;
        let Some(at) = self.flights.iter().position(is_waiting) else { return };
        if !self.names.claim(signature, order) {
            // The bytes of another order: one landing cannot fill two.
            self.reject(order, Stage::Building, RejectReason::SameBytes, out);
            return;
        }
        let Some(flight) = self.flights.get_mut(at) else { return };
        (flight.signature, flight.last_valid) = (signature, last_valid);
        if self.settings.simulate {
            flight.stage = Stage::Simulating;
            out.push(Output::Simulate { order, signature });
        } else {
            flight.stage = Stage::Barrier;
            out.push(Output::Journal { order, signature });
        }
    }

    fn simulated(&mut self, signature: Signature, good: bool, out: &mut Vec<Output>) {
        let killed = self.killed;
        let Some(flight) = self.at_stage(signature, &Stage::Simulating) else { return };
        let order = flight.order;
        if good && !killed {
            flight.stage = Stage::Barrier;
            out.push(Output::Journal { order, signature });
            return;
        }
        let reason =
            if good { RejectReason::SignerRefused } else { RejectReason::SimulationFailed };
        self.reject(order, Stage::Simulating, reason, out);
    }

    fn durable(&mut self, signature: Signature, out: &mut Vec<Output>) {
        let now = self.clock;
        let Some(flight) = self.at_stage(signature, &Stage::Barrier) else { return };
        flight.stage = Stage::Flying;
        flight.sent = Some(now);
        let (order, last_valid) = (flight.order, flight.last_valid);
        self.written = self.written.max(Some(order));
        // On the wire first: the engine has time.
        out.push(Output::Send { order, signature });
        out.push(Output::Tell(OrderEvent::Signed { order, signature, last_valid }));
    }

    fn recovered(
        &mut self,
        order: OrderId,
        signature: Signature,
        last_valid: BlockHeight,
        landing: Option<Landing>,
    ) {
        if self.flight(order).is_some() || !self.names.claim(signature, order) {
            return;
        }
        self.newest = self.newest.max(Some(order));
        self.written = self.newest;
        self.flights.push(Flight {
            order,
            stage: landing.map_or(Stage::Flying, Stage::Landed),
            signature,
            last_valid,
            sent: None,
            asked: None,
            worded: None,
            known: None,
            search: true,
            doubted: false,
        });
    }

    fn height(&mut self, commitment: Commitment, height: BlockHeight, out: &mut Vec<Output>) {
        let known = match commitment {
            Commitment::Processed => return,
            Commitment::Confirmed => &mut self.confirmed,
            Commitment::Finalized => &mut self.finalized,
        };
        *known = (*known).max(Some(height));
        let (now, every) = (self.clock, self.settings.expiry_every);
        let is_past = |f: &Flight, height: Option<BlockHeight>| {
            f.stage == Stage::Flying && height.is_some_and(|height| height > f.last_valid)
        };
        let (confirmed, finalized) = (self.confirmed, self.finalized);
        if commitment == Commitment::Confirmed {
            let waits = |f: &Flight| is_past(f, confirmed) && !is_past(f, finalized);
            if self.flights.iter().any(waits) {
                out.push(Output::AskHeight(Commitment::Finalized));
            }
        }
        for flight in self.flights.iter_mut().filter(|f| is_past(f, finalized)) {
            if is_due(flight.worded, every, now) {
                flight.worded = Some(now);
                out.push(Output::AskWords { signature: flight.signature });
            }
        }
    }

    fn status(&mut self, signature: Signature, status: Option<Status>, out: &mut Vec<Output>) {
        let Some(flight) = self.at_stage(signature, &Stage::Flying) else { return };
        let is_confirmed = |status: Status| status.commitment >= Commitment::Confirmed;
        flight.known = Some(status.is_some_and(is_confirmed));
        if flight.known == Some(true) {
            out.push(if flight.doubted {
                Output::AskWords { signature }
            } else {
                Output::Read { signature }
            });
        }
    }

    fn read(&mut self, signature: Signature, landing: Option<Landing>, out: &mut Vec<Output>) {
        let now = self.clock;
        let Some(flight) = self.at_stage(signature, &Stage::Flying) else { return };
        if let Some(landing) = landing
            && !flight.doubted
        {
            out.push(Output::Tell(landing.event(flight.order)));
            flight.stage = Stage::Landed(landing);
            // It takes a while to become final.
            flight.worded = Some(now);
        }
    }

    fn words(&mut self, signature: Signature, of: u32, words: &[Word], out: &mut Vec<Output>) {
        let Some(at) = self.flights.iter().position(|f| f.signature == signature) else { return };
        let Some(flight) = self.flights.get_mut(at) else { return };
        let order = flight.order;
        let is_over = match &flight.stage {
            Stage::Flying => match finality(words, of, None) {
                Finality::Other(landing) => {
                    out.push(Output::Tell(landing.event(order)));
                    out.push(Output::Tell(OrderEvent::Finalized { order }));
                    true
                }
                _ => match death(words, of, flight.last_valid) {
                    Death::Dead => {
                        out.push(Output::Tell(OrderEvent::Expired { order }));
                        true
                    }
                    Death::Known => {
                        flight.search = true;
                        false
                    }
                    Death::Unproved => false,
                },
            },
            Stage::Landed(told) => match finality(words, of, Some(told)) {
                Finality::Final => {
                    out.push(Output::Tell(OrderEvent::Finalized { order }));
                    true
                }
                Finality::Other(landing) => {
                    out.push(Output::Tell(OrderEvent::RolledBack { order }));
                    out.push(Output::Tell(landing.event(order)));
                    out.push(Output::Tell(OrderEvent::Finalized { order }));
                    true
                }
                Finality::Undone => {
                    out.push(Output::Tell(OrderEvent::RolledBack { order }));
                    flight.stage = Stage::Flying;
                    (flight.search, flight.doubted, flight.known) = (true, true, None);
                    (flight.sent, flight.asked, flight.worded) = (None, None, None);
                    false
                }
                Finality::Unproved => false,
            },
            Stage::Building | Stage::Simulating | Stage::Barrier | Stage::Jammed => false,
        };
        if is_over {
            self.flights.swap_remove(at);
        }
    }

    fn timer(&mut self, out: &mut Vec<Output>) {
        let (now, settings) = (self.clock, self.settings);
        let (confirmed, finalized) = (self.confirmed, self.finalized);
        let mut asks_height = false;
        for flight in &mut self.flights {
            let signature = flight.signature;
            match flight.stage {
                Stage::Flying => {
                    if is_due(flight.asked, settings.poll_every, now) {
                        flight.asked = Some(now);
                        out.push(Output::AskStatus { signature, history: flight.search });
                    }
                    asks_height = true;
                    if finalized.is_some_and(|height| height > flight.last_valid)
                        && is_due(flight.worded, settings.expiry_every, now)
                    {
                        flight.worded = Some(now);
                        out.push(Output::AskWords { signature });
                    }
                    let may_land = confirmed.is_none_or(|height| height <= flight.last_valid);
                    let is_due = match flight.sent {
                        Some(_) => is_due(flight.sent, settings.resend_every, now),
                        // It may never have been sent; or it may have landed long ago, which must be asked first.
                        None => flight.known == Some(false) && confirmed.is_some(),
                    };
                    if is_due && may_land && flight.known != Some(true) {
                        flight.sent = Some(now);
                        out.push(Output::Send { order: flight.order, signature });
                    }
                }
                Stage::Landed(_) => {
                    let every = settings.expiry_every.saturating_add(settings.expiry_every);
                    if is_due(flight.worded, every, now) {
                        flight.worded = Some(now);
                        out.push(Output::AskWords { signature });
                    }
                }
                Stage::Building | Stage::Simulating | Stage::Barrier | Stage::Jammed => {}
            }
        }
        if asks_height && is_due(self.height_asked, settings.expiry_every, now) {
            self.height_asked = Some(now);
            out.push(Output::AskHeight(Commitment::Confirmed));
        }
    }
}

fn is_due(last: Option<Timestamp>, every: Timestamp, now: Timestamp) -> bool {
    last.is_none_or(|last| now.saturating_sub(last) >= every)
}
