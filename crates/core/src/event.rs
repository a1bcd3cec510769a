//! What goes into the engine and what comes out.
//!
//! Everything here is plain data that owns its bytes: it is journaled, replayed, hashed and compared. Adding a
//! variant at the end of an enum keeps old journals readable; moving or removing one does not.

mod brings;

use arrayvec::ArrayVec;
use serde::{Deserialize, Serialize};

use crate::amm::{AccountUpdate, Kind, PoolSpec};
use crate::ids::{Address, MintId, OrderId, PairId, PoolId, Signature, StrategyId, Symbol};
use crate::order::{Order, Outcome};
use crate::risk::{Mode, Refusal};
use crate::standing::{PlaceError, StandingId, Ticket, Turn};
use crate::units::{Atoms, BlockHeight, Lamports, Price, Seq, Slot, Timestamp, Usd};

/// An event with its place and time: the only thing the engine reads.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Stamped {
    /// Place in the journal, rising by one.
    pub seq: Seq,
    /// When the shell saw it. Never falls within a journal.
    pub at: Timestamp,
    /// What happened.
    pub event: Event,
}

/// What can happen.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Event {
    /// The market moved, or we learnt of a part of it.
    Market(MarketEvent),
    /// A scored opinion from outside the core.
    Signal(SignalEvent),
    /// One of our orders went a step further.
    Order(OrderEvent),
    /// A person, or the shell at start, wants something.
    Command(Command),
    /// Time passed.
    Timer,
}

/// What the market can tell us.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum MarketEvent {
    /// A mint we may meet. The first becomes [`MintId`] 1; 0 is native SOL.
    Mint(MintSpec),
    /// A pool we watch; its mints came before it. The first becomes [`PoolId`] 0.
    Pool(Box<PoolSpec>),
    /// An account of a pool, decoded.
    Account {
        /// The pool it belongs to.
        pool: PoolId,
        /// The slot whose state this is.
        slot: Slot,
        /// What the account holds now.
        update: AccountUpdate,
    },
    /// The chain reached a slot: everything older has been delivered.
    Slot {
        /// The slot.
        slot: Slot,
        /// Blocks below it, where the source tells.
        height: BlockHeight,
    },
    /// A price that does not come from the pools we trade on: what the collar compares with.
    Reference {
        /// The mint priced.
        mint: MintId,
        /// Millionths of a dollar per atom.
        usd: Price,
    },
    /// A candle that has closed. Made by the market from pool prices, or read from a tape; `at` of the event is
    /// its close.
    Candle(Candle),
    /// Whether the feed delivers everything. From `whole: false` on notices may be missing, and nothing is
    /// approved until it is whole again.
    Feed {
        /// Every account is as recent as the chain.
        whole: bool,
    },
    /// An account of a pool no longer holds what it should: the pool is not traded until all of it is seen anew.
    Lost {
        /// The pool.
        pool: PoolId,
    },
    /// An account of a kind's own program no longer reads: no pool of that kind is traded until this program knows it.
    Drifted {
        /// The kind.
        kind: Kind,
    },
    /// A pool has just begun to trade; it was announced before.
    Launched {
        /// The pool.
        pool: PoolId,
        /// In which slot.
        at: Slot,
    },
    /// What the token gate says of a mint. The newest word counts, and only for a while.
    Gate {
        /// The mint.
        mint: MintId,
        /// Nothing speaks against buying it.
        safe: bool,
        /// The slot that it was judged at.
        at: Slot,
    },
    /// A tick or bin array of a pool is no longer followed: nothing may be quoted through it until it is seen anew.
    Forgotten {
        /// The pool.
        pool: PoolId,
        /// The tick that it starts at, or the number of a bin array.
        array: i32,
    },
    /// A candle that has closed and what its pool holds at that moment, in one: a bar of a tape. It is both an account of
    /// the pool and a candle: see [`Self::touches`] and [`Self::candle`].
    Close {
        /// The pool, a [Raydium CPMM](crate::amm::cpmm).
        pool: PoolId,
        /// The slot of its state.
        slot: Slot,
        /// The balances of its vaults; the rest of its state is what it was.
        vaults: [Atoms; 2],
        /// The candle.
        candle: Candle,
    },
}

/// A mint as the shell describes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MintSpec {
    /// Its account.
    pub address: Address,
    /// SPL Token or Token-2022.
    pub token_program: Address,
    /// Atoms per whole token, as a power of ten.
    pub decimals: u8,
    /// Untrusted label, cleaned.
    pub symbol: Symbol,
    /// Held as worth one dollar: what profits are counted in.
    pub is_usd: bool,
    /// A transfer moves what it says: no fee is kept of it, and nothing may refuse it.
    pub plain: bool,
    /// The operator vouches for it: it may be bought without the token gate's word.
    pub trusted: bool,
    /// What making our token account of it takes of our key; zero where the account is there. See [`Order::opens`].
    pub rent: Lamports,
}

/// Open, high, low and close of a pair's price over a span of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Candle {
    /// The pair.
    pub pair: PairId,
    /// When it opened.
    pub start: Timestamp,
    /// How long it lasted; it is known only at `start + width`.
    pub width: Timestamp,
    /// First price, quote atoms per base atom.
    pub open: Price,
    /// Greatest price.
    pub high: Price,
    /// Least price.
    pub low: Price,
    /// Last price.
    pub close: Price,
    /// Base atoms traded, where the source tells; else zero.
    pub volume: Atoms,
    /// The candle before it is missing: nothing may be computed across its start.
    pub after_gap: bool,
}

/// An opinion from a producer outside the core, with an expiry so that a stale one counts for nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignalEvent {
    /// Who says it.
    pub source: Symbol,
    /// Of what.
    pub mint: MintId,
    /// From -10 000 (sell) to 10 000 (buy).
    pub score: i16,
    /// From when on it no longer counts.
    pub expires: Timestamp,
}

/// What a venue can tell about an order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum OrderEvent {
    /// Its transaction is signed and durable; from here on it may land.
    Signed {
        /// The order.
        order: OrderId,
        /// Name of the transaction on the chain.
        signature: Signature,
        /// After this height it can no longer land.
        last_valid: BlockHeight,
    },
    /// It landed and did what it should.
    Filled {
        /// The order.
        order: OrderId,
        /// Where it landed.
        slot: Slot,
        /// What it changed in our token accounts, per mint.
        deltas: Deltas,
        /// What the chain took for it: base and priority fee.
        fee: Lamports,
        /// What our key gave besides, by the chain's word: the rent of token accounts that the transaction made.
        rent: Lamports,
    },
    /// It landed and failed: nothing moved but the fee.
    Reverted {
        /// The order.
        order: OrderId,
        /// Where it landed.
        slot: Slot,
        /// What the chain took all the same.
        fee: Lamports,
        /// The program's own error number, where it gave one.
        code: Option<u32>,
    },
    /// It can no longer land, and did not.
    Expired {
        /// The order.
        order: OrderId,
    },
    /// It was never sent and never will be.
    Rejected {
        /// The order.
        order: OrderId,
        /// Why.
        reason: RejectReason,
    },
    /// What it was last told to have done is in a finalized block: it can no longer be taken back.
    Finalized {
        /// The order.
        order: OrderId,
    },
    /// The block it landed in was abandoned: what it was told to have done never happened. It may land again.
    RolledBack {
        /// The order.
        order: OrderId,
    },
}

impl OrderEvent {
    /// The order it speaks of.
    #[must_use]
    pub const fn order(&self) -> OrderId {
        match self {
            Self::Signed { order, .. }
            | Self::Filled { order, .. }
            | Self::Reverted { order, .. }
            | Self::Expired { order }
            | Self::Rejected { order, .. }
            | Self::Finalized { order }
            | Self::RolledBack { order } => *order,
        }
    }
}

/// Changes of our token balances, in atoms, per mint.
pub type Deltas = ArrayVec<(MintId, i64), 4>;

/// Why an order never left the house.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum RejectReason {
    /// The transaction could not be built: no recent blockhash, or an unknown account.
    Unbuildable,
    /// The signer said no: kill latch, policy, or a device that was not confirmed.
    SignerRefused,
    /// The simulation on a node failed.
    SimulationFailed,
    /// The process ended before it was signed.
    NeverSigned,
    /// The journal could not be written, so nothing may be sent.
    NotDurable,
    /// It came too late: its time had run out before it was signed.
    TooLate,
    /// Its transaction would be the very bytes of another order's: one landing cannot fill two.
    SameBytes,
}

/// What a person, or the shell at start, can ask for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Command {
    /// Change what may be done. Going from `Kill` back needs `clear_kill`.
    SetMode {
        /// The mode wanted.
        mode: Mode,
        /// A person cleared the kill latch in two steps.
        clear_kill: bool,
    },
    /// Money came in from outside, or was found at start.
    Deposit {
        /// Of which mint; [`MintId::SOL`] for lamports.
        mint: MintId,
        /// How much.
        amount: Atoms,
    },
    /// Money left to the outside.
    Withdraw {
        /// Of which mint.
        mint: MintId,
        /// How much.
        amount: Atoms,
    },
    /// Lamports were locked as rent of an account of ours.
    Rent {
        /// How much.
        lamports: Lamports,
    },
    /// A fee that belongs to no order, such as that of a transaction which opened a token account.
    Fee {
        /// How much.
        lamports: Lamports,
    },
    /// What the chain says we hold, to compare with the ledger. Ignored for a mint with orders in flight.
    Reconcile {
        /// Of which mint.
        mint: MintId,
        /// What the chain holds for us.
        chain: Atoms,
    },
    /// Orders go to a chain that may abandon a block: from here on what lands can be taken back until it is called
    /// final. See [`OrderEvent::Finalized`].
    ExpectForks,
    /// Orders that stand until their moment comes. One that makes no sense is not placed: see [`Alert::NotPlaced`].
    Place(Box<Ticket>),
    /// Takes back what stands. What is in flight may still land; nothing follows it.
    Cancel {
        /// The event that placed it.
        ticket: Seq,
        /// Which order of the ticket; all of it without.
        leg: Option<u8>,
    },
    /// What was booked so far besides orders is on the chain from this slot on: a comparison with an older state says
    /// nothing.
    Opened {
        /// The slot whose balances were booked.
        slot: Slot,
    },
    /// The chain holds more than the ledger, finally, and no order of ours explains it: booked with its reason.
    Explained {
        /// Of which mint.
        mint: MintId,
        /// How much more.
        amount: Atoms,
        /// Where it came from.
        why: Explanation,
    },
    /// The chain holds less than the ledger, finally, and nothing explains it.
    Missing {
        /// Of which mint.
        mint: MintId,
        /// What the ledger says that state should hold.
        ledger: Atoms,
        /// What it holds.
        chain: Atoms,
    },
    /// Our token account of a mint is not what it should be.
    Account {
        /// Of which mint.
        mint: MintId,
        /// What it is.
        state: AccountState,
    },
}

/// Why the chain holds more than the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Explanation {
    /// Somebody has sent it: nobody needs our leave for that.
    FromOutside,
    /// The rent of a token account of ours that was closed.
    RentReturned,
}

/// What may be wrong with a token account of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum AccountState {
    /// It is gone. The next order that needs it makes it anew.
    Closed {
        /// What that takes.
        rent: Lamports,
    },
    /// Somebody may take what is in it.
    Delegated {
        /// Who.
        to: Address,
    },
    /// Somebody else may close it.
    Closable {
        /// Who.
        by: Address,
    },
    /// Nothing can be moved.
    Frozen,
    /// What lies at its address is no token account of our key.
    Foreign,
}

impl AccountState {
    /// Whether trading goes on with it.
    #[must_use]
    pub const fn is_safe(&self) -> bool {
        matches!(self, Self::Closed { .. })
    }
}

/// What the engine wants done or known.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Effect {
    /// Build, sign and send this.
    Submit(Box<Order>),
    /// A wish was refused.
    Refused {
        /// Whose wish.
        strategy: StrategyId,
        /// Why.
        refusal: Refusal,
    },
    /// An order reached its end.
    Closed(Box<Closed>),
    /// A position was reduced and its profit is known.
    Trade(Trade),
    /// What may be done has changed.
    Mode {
        /// From now on.
        mode: Mode,
        /// Why.
        cause: ModeCause,
    },
    /// The operator should know.
    Alert(Alert),
    /// What all is worth, at a candle's close.
    Equity(EquityPoint),
    /// A standing order went a step further.
    Standing {
        /// Which.
        id: StandingId,
        /// What happened to it.
        turn: Turn,
    },
}

/// An order at its end.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Closed {
    /// The order as it was approved.
    pub order: Order,
    /// How it ended.
    pub outcome: Outcome,
    /// When.
    pub at: Timestamp,
    /// The signature, if it was ever signed.
    pub signature: Option<Signature>,
}

/// A position reduced: the unit of profit and loss.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trade {
    /// Whose.
    pub strategy: StrategyId,
    /// The order that reduced it.
    pub order: OrderId,
    /// What was held; for an arbitrage the mint it started and ended with.
    pub mint: MintId,
    /// How much of it was given up.
    pub amount: Atoms,
    /// What that had cost, fees of entry included.
    pub cost: Usd,
    /// What it brought, before the fee of this order.
    pub proceeds: Usd,
    /// The fee of this order.
    pub fee: Usd,
    /// `proceeds - cost - fee`.
    pub profit: Usd,
    /// When the position was opened.
    pub opened: Timestamp,
    /// When it was reduced.
    pub closed: Timestamp,
}

/// Why the mode changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum ModeCause {
    /// A person said so.
    Operator,
    /// The loss of the day reached its limit.
    DailyLoss,
    /// The fall from peak equity reached its limit.
    Drawdown,
    /// The ledger differs from the chain.
    LedgerMismatch,
    /// A token account of ours is in the hands of others.
    UnsafeAccount,
}

/// Something the operator should know.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Alert {
    /// Ledger and chain differ.
    LedgerMismatch {
        /// Which mint.
        mint: MintId,
        /// What the ledger holds.
        ledger: Atoms,
        /// What the chain holds.
        chain: Atoms,
    },
    /// A strategy was stopped alone.
    StrategyStopped {
        /// Which.
        strategy: StrategyId,
        /// Why.
        cause: StopCause,
    },
    /// An event about an order that is not open; it was ignored.
    UnknownOrder {
        /// The order it named.
        order: OrderId,
    },
    /// A fill that differs from what the order could do; booked as the chain has it.
    UnexpectedFill {
        /// The order.
        order: OrderId,
    },
    /// The journal and the input disagree in order or time; the event was ignored.
    OutOfOrder {
        /// The offending event.
        seq: Seq,
    },
    /// A kind's program no longer does what is known of it; its pools give no quote from here on.
    Drift {
        /// The kind.
        kind: Kind,
        /// A fill that was not the quote, and where; none when it was an account that no longer reads.
        fill: Option<(PoolId, Atoms, Atoms)>,
    },
    /// A position is sold without a recent independent price: only our own quote, less the slippage cap, bounds it.
    UnpricedExit {
        /// The order.
        order: OrderId,
        /// What it sells.
        mint: MintId,
    },
    /// The block that an order had landed in was abandoned: what was booked for it has been taken back.
    RolledBack {
        /// The order.
        order: OrderId,
        /// Where it had landed.
        slot: Slot,
    },
    /// A ticket that makes no sense was not placed.
    NotPlaced(PlaceError),
    /// The chain held more than the ledger; it was booked.
    Explained {
        /// Of which mint.
        mint: MintId,
        /// How much more.
        amount: Atoms,
        /// Where it came from.
        why: Explanation,
    },
    /// Our token account of a mint is not what it should be.
    Account {
        /// Of which mint.
        mint: MintId,
        /// What it is.
        state: AccountState,
    },
}

/// Why a strategy was stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum StopCause {
    /// It lost what it may lose.
    LossLimit,
    /// Its code panicked.
    Panicked,
}

/// What all is worth at a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EquityPoint {
    /// When.
    pub at: Timestamp,
    /// Cash and positions, marked at the pools' prices.
    pub equity: Usd,
    /// Of it in positions.
    pub exposure: Usd,
}
