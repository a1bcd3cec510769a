//! Every pool of a program: found, read in one pass, kept in the core's table.
//!
//! # Design
//! - Answers are read while they arrive ([`ReplyReader`]): no tree of JSON, no text of an account that is done with.
//!   Data are decoded into memory that is used again.
//! - A cold scan asks each program for the fees that its pools share and for its pools, a slice of each, then reads the
//!   vaults a hundred at a time. Both answers tell their slot, and the second may not be older than the first. Still they are two moments, and a swap
//!   between them makes a price that never was. So what a scan finds is a candidate: [`Scanner::confirm`] reads the
//!   pools of each verdict again, with their vaults, in one request, which a node answers from one state.
//! - Afterwards [`Scanner::apply`] takes accounts as they change. A pool whose accounts disagree on their slot keeps
//!   its last settled reserves until they agree or [`Scanner::settle`] says that time has passed.
//! - Vaults that nobody tells of, because each pool owns its own (PumpSwap), are read when their pool's state was told:
//!   [`Scanner::read_told`]. What a kind's figures rest on stands at [`Program`].
//!
//! [`Scanner`] decides nothing: which gap is worth an order is the core's business.

mod beside;
mod cold;
mod confirm;
mod decode;
mod error;
mod fees;
mod follow;
mod program;
mod reply;
mod report;
mod request;
mod scanner;
mod standing;
mod state;
mod torn;
mod vaults;

pub use decode::{Decoded, Maker, Rates};
pub use error::{ReplyError, ScanError};
pub use fees::{Creator, Share};
pub use follow::{Account as Followed, Follower, Told};
pub use program::{Program, Slice};
pub use reply::{ReplyReader, Summary};
pub use report::{ColdReport, CycleTimes, Opportunity, Report};
pub use request::{Request, accounts_request, pools_request};
pub use scanner::{ScanSettings, Scanner};
pub use state::{Change, Notice};

pub use crate::json::{Account, Encoding};
