//! What is written: a variant added at the end keeps old journals readable.

use serde::{Deserialize, Serialize};

use crate::event::Stamped;
use crate::ids::{OrderId, Signature};
use crate::units::{BlockHeight, Seq, Timestamp};

/// One record of the journal.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Record {
    /// How the engine was set up. The first record, and again whenever that changes.
    Header {
        /// Version of what `config` holds.
        version: u16,
        /// The engine's settings, as the engine writes them.
        config: Vec<u8>,
        /// When the engine started.
        started: Timestamp,
    },
    /// Something the engine saw.
    Event(Stamped),
    /// A signed transaction. Durable before its first send, so that only identical bytes are ever sent again.
    Wire {
        /// The order it carries out.
        order: OrderId,
        /// Its name on the chain.
        signature: Signature,
        /// After this height it can no longer land.
        last_valid: BlockHeight,
        /// The bytes that are sent.
        bytes: Vec<u8>,
    },
    /// What the engine was after an event: a replay that differs is found out here.
    Checkpoint {
        /// The event.
        seq: Seq,
        /// Hash of all effects up to it.
        effects: [u8; 32],
        /// Hash of the state after it.
        state: [u8; 32],
    },
    /// The first record of a segment after the first: a checkpoint from which hashes go on, so that whoever begins here
    /// need not know what came before.
    Opening {
        /// The last event before it.
        seq: Seq,
        /// Hash of all effects up to it. From here on effects are hashed behind this.
        effects: [u8; 32],
        /// How many values that hash has taken.
        counted: u64,
        /// Hash of the state after it.
        state: [u8; 32],
    },
}

/// [`Record`] without owning what it writes; the same bytes.
#[derive(Serialize)]
#[expect(missing_docs, reason = "as in `Record`")]
pub enum Borrowed<'a> {
    /// See [`Record::Header`].
    Header {
        version: u16,
        config: &'a [u8],
        started: Timestamp,
    },
    /// See [`Record::Event`].
    Event(&'a Stamped),
    /// See [`Record::Wire`].
    Wire {
        order: OrderId,
        signature: &'a Signature,
        last_valid: BlockHeight,
        bytes: &'a [u8],
    },
    /// See [`Record::Checkpoint`].
    Checkpoint {
        seq: Seq,
        effects: &'a [u8; 32],
        state: &'a [u8; 32],
    },
    Opening {
        seq: Seq,
        effects: &'a [u8; 32],
        counted: u64,
        state: &'a [u8; 32],
    },
}

impl<'a> From<&'a Record> for Borrowed<'a> {
    fn from(record: &'a Record) -> Self {
        match record {
            Record::Header { version, config, started } => {
                Self::Header { version: *version, config, started: *started }
            }
            Record::Event(stamped) => Self::Event(stamped),
            Record::Wire { order, signature, last_valid, bytes } => {
                Self::Wire { order: *order, signature, last_valid: *last_valid, bytes }
            }
            Record::Checkpoint { seq, effects, state } => {
                Self::Checkpoint { seq: *seq, effects, state }
            }
            Record::Opening { seq, effects, counted, state } => {
                Self::Opening { seq: *seq, effects, counted: *counted, state }
            }
        }
    }
}

impl Record {
    /// The record that `payload` holds, if it holds one and nothing else.
    #[must_use]
    pub fn decode(payload: &[u8]) -> Option<Self> {
        match postcard::take_from_bytes(payload) {
            Ok((record, [])) => Some(record),
            _ => None,
        }
    }
}
