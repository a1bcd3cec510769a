//! What the receiver of a feed gets.

use std::time::Instant;

use sniper_core::amm::Kind;
use sniper_core::event::MarketEvent;
use sniper_core::ids::{Address, MintId};
use sniper_core::units::{Atoms, Lamports, Slot};
use thiserror::Error;

use super::logs::LogNotice;
use super::watch::WatchId;
use crate::rpc::{AccountInfo, EndpointName};

/// What a feed delivers, through one channel, in order.
#[derive(Clone, Debug, PartialEq)]
pub enum FeedEvent {
    /// An account of a pool, decoded.
    Market {
        /// Which account: what was sent before it was let go may still come after.
        watch: WatchId,
        /// For the core, as it is.
        event: MarketEvent,
        /// When its bytes arrived.
        received: Instant,
    },
    /// A token account of ours.
    OwnToken {
        /// Of which mint.
        mint: MintId,
        /// What it holds.
        amount: Atoms,
        /// As of when.
        slot: Slot,
    },
    /// Our native balance.
    OwnLamports {
        /// What we hold.
        lamports: Lamports,
        /// As of when.
        slot: Slot,
    },
    /// The chain reached a slot; what each connection told of older ones came before. Slots may be skipped.
    Slot {
        /// The slot.
        slot: Slot,
        /// When the notice arrived.
        received: Instant,
    },
    /// An account does not hold what it should: closed, frozen, or owned by another program. Its last known state
    /// must not be traded on.
    Unreadable {
        /// Which.
        watch: WatchId,
        /// As of when.
        slot: Slot,
        /// The right program wrote it in a shape that is not known: it has changed.
        drifted: Option<Kind>,
    },
    /// An account of a program that is followed.
    Program {
        /// Which watch.
        watch: WatchId,
        /// Which account.
        address: Address,
        /// What it holds.
        account: Box<AccountInfo>,
        /// As of when.
        slot: Slot,
        /// When its bytes arrived.
        received: Instant,
    },
    /// What a transaction printed that mentions an address.
    Logs {
        /// Which watch.
        watch: WatchId,
        /// The lines.
        notice: Box<LogNotice>,
    },
    /// A transaction was executed, as surely as the feed's commitment says. The watch is gone with this.
    Signature {
        /// Which watch.
        watch: WatchId,
        /// It did not fail.
        succeeded: bool,
        /// As of when.
        slot: Slot,
        /// When the notice arrived.
        received: Instant,
    },
    /// A slot can no longer be undone.
    Root {
        /// Which watch.
        watch: WatchId,
        /// The slot.
        slot: Slot,
        /// When the notice arrived.
        received: Instant,
    },
    /// The receiver was too slow for notices of which each counts: so many did not reach it.
    Missed {
        /// Which watch.
        watch: WatchId,
        /// How many.
        notices: u64,
    },
    /// A node does not subscribe to something that was added while the feed ran. The feed has let it go.
    Refused {
        /// Which.
        watch: WatchId,
        /// The node's error number.
        code: i64,
    },
    /// From here on notices may be missing, until [`Self::Restored`].
    Gap {
        /// Which part of the subscriptions.
        shard: usize,
        /// Why.
        cause: GapCause,
    },
    /// Every account of the part was read again as of this slot or later: nothing is missing any more.
    Restored {
        /// Which part of the subscriptions.
        shard: usize,
        /// As of when.
        slot: Slot,
    },
    /// A connection has all its subscriptions acknowledged.
    ConnectionUp {
        /// By position.
        connection: usize,
        /// To which endpoint.
        endpoint: EndpointName,
    },
    /// A connection was lost or given up; it is being made again.
    ConnectionDown {
        /// By position.
        connection: usize,
        /// To which endpoint.
        endpoint: EndpointName,
        /// Why.
        cause: DownCause,
    },
}

/// Why notices may be missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GapCause {
    /// The feed has just begun.
    Start,
    /// No connection is left.
    Disconnected,
    /// The receiver was too slow, and more accounts of a program changed meanwhile than may wait.
    Overflow,
}

/// Why a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Error)]
#[non_exhaustive]
pub enum DownCause {
    /// It could not be made.
    #[error("cannot connect")]
    Connect,
    /// The node did not acknowledge every subscription in time.
    #[error("subscriptions were not acknowledged in time")]
    NoAcknowledgement,
    /// The node refused a subscription.
    #[error("a subscription was refused with {code}")]
    Refused {
        /// Its error number.
        code: i64,
    },
    /// The node gave one number to two subscriptions, so that their notices cannot be told apart.
    #[error("the node gave one number to two subscriptions")]
    Ambiguous,
    /// The node keeps subscriptions that were given back; a new connection is rid of them.
    #[error("the node does not end subscriptions")]
    NotReleased,
    /// The other side closed it.
    #[error("closed by the other side")]
    Closed,
    /// It broke.
    #[error("broken")]
    Broken,
    /// Open, but no slot came: dead in truth.
    #[error("silent: no slot for too long")]
    Stalled,
    /// What came was not JSON-RPC, again and again.
    #[error("unreadable frames")]
    Garbage,
    /// Its slots are nowhere near those of the verified chain: another chain, or one long dead.
    #[error("its slots are not those of this chain; check the ws address of the endpoint")]
    OtherChain,
    /// Given up for a faster endpoint.
    #[error("moved to a faster endpoint")]
    Moved,
    /// A stream's token is not the one its provider gave.
    #[error("the token is refused; check grpc_token_file of the endpoint")]
    Unauthenticated,
    /// A stream's server does not take so many accounts, or one of these programs.
    #[error(
        "the server's limits refuse what the stream should follow; ask the provider for higher ones"
    )]
    Limits,
    /// A stream too many.
    #[error("the server allows no further stream; close another or ask the provider for more")]
    Exhausted,
    /// A stream's server gave up because we read too slowly.
    #[error("the server ended the stream because it was read too slowly")]
    Lagged,
    /// What was missed cannot be told again; it is read.
    #[error("the server cannot tell what was missed, which is read in its place")]
    NoReplay,
    /// A message larger than any that we follow.
    #[error("a message above the largest that is read")]
    TooLarge,
    /// More of one slot than may wait for its end.
    #[error("more was told of unfinished slots than may wait for their end")]
    Flooded,
    /// Another status of gRPC.
    #[error("the stream ended with gRPC status {code}")]
    Status {
        /// Its number.
        code: i32,
    },
}
