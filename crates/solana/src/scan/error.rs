//! Why an answer, or an account in it, cannot be used.

use sniper_core::amm::DecodeError;
use sniper_core::ids::Address;
use sniper_core::scan::TableError;
use thiserror::Error;

use crate::rpc::RpcError;

/// Why the text of an answer cannot be read. Byte positions count from its start.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ReplyError {
    /// The text ends too soon.
    #[error("the answer ends in the middle, after {accounts} accounts; ask again")]
    Truncated {
        /// Accounts read before.
        accounts: usize,
    },
    /// The text is not JSON, or JSON of another shape.
    #[error("the answer is not a list of accounts at byte {at}")]
    Shape {
        /// Where.
        at: usize,
    },
    /// The node said no.
    #[error("the node says {code}: {message}")]
    Node {
        /// Its error number.
        code: i64,
        /// Its words, shortened and cleaned: for people, never for decisions.
        message: String,
    },
    /// A field is not there.
    #[error("the account before byte {at} has no {field}")]
    Missing {
        /// Where the account ends.
        at: usize,
        /// Which field.
        field: &'static str,
    },
    /// A key is not 32 bytes in base58.
    #[error("the account before byte {at} has a key that is none")]
    Key {
        /// Where the account ends.
        at: usize,
    },
    /// The data are not in an encoding that was asked for, or broken.
    #[error("the account before byte {at} has data that are not {encoding}")]
    Data {
        /// Where the account ends.
        at: usize,
        /// Which encoding.
        encoding: &'static str,
    },
    /// One account takes more text than is kept.
    #[error("an account of more than {limit} bytes of text")]
    TooLarge {
        /// Where we stopped.
        limit: usize,
    },
    /// There is neither a result nor an error.
    #[error("the answer holds neither accounts nor an error")]
    Empty,
}

/// Why a scan failed. What was read before stays in the table.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ScanError {
    /// A node gave no answer.
    #[error(transparent)]
    Rpc(#[from] RpcError),
    /// A node's answer cannot be used.
    #[error("{endpoint}: {method}: {source}")]
    Reply {
        /// Which endpoint.
        endpoint: crate::rpc::EndpointName,
        /// What was asked.
        method: &'static str,
        /// What is wrong.
        #[source]
        source: ReplyError,
    },
    /// An answer is from no known slot, or an older one than asked for.
    #[error(
        "{method}: the answer's slot is {found:?}, wanted {wanted} or later; ask another endpoint"
    )]
    Slot {
        /// What was asked.
        method: &'static str,
        /// What was wanted.
        wanted: u64,
        /// What it has.
        found: Option<u64>,
    },
    /// Another number of accounts than asked for.
    #[error("{method}: {found} accounts where {wanted} were asked for; ask another endpoint")]
    Count {
        /// What was asked.
        method: &'static str,
        /// Asked for.
        wanted: usize,
        /// Came.
        found: usize,
    },
    /// The table refuses something.
    #[error(transparent)]
    Table(#[from] TableError),
    /// The temporary file that holds the addresses of vaults cannot be read.
    #[error(
        "the addresses of vaults in the temporary folder cannot be read: {0}; start again, or set TMPDIR to another folder"
    )]
    Filed(#[source] std::io::Error),
    /// An account of a program is not what its filters promise.
    #[error("account {address}: {source}")]
    Account {
        /// Which.
        address: Address,
        /// What is wrong.
        #[source]
        source: DecodeError,
    },
}
