//! Subscriptions over WebSocket, and over Yellowstone streams where this build can: pools, our own accounts and whatever else a node tells, followed without a silent gap.
//!
//! # Design
//! Every [`Subscription`] is made on up to two endpoints; a [`MessageRouter`] lets each version through once. Frames are
//! read in one pass, into memory that is used again ([`FrameReader`]).
//! A connection that is lost, refused, silent against the slot clock or full of rubbish is made again with all its
//! subscriptions, and when every one is acknowledged and a slot has come, all its accounts are read as of that slot
//! or later. Watches come and go while the feed runs ([`WebSocketManager::follow`], [`WebSocketManager::unfollow`]): live
//! connections subscribe to what is new without being made again, and when all is acknowledged and a slot has come, the
//! new accounts alone are read. Whenever the receiver may have missed something, it is told so by [`FeedEvent::Gap`] before and
//! [`FeedEvent::Restored`] after. A receiver that is too slow holds up no socket: what does not fit into its channel
//! waits beside it, one event for each account, and a newer one takes the place of the one that waits.

mod backlog;
mod connection;
mod deliver;
mod event;
mod frame;
#[cfg(feature = "yellowstone")]
mod geyser;
mod heal;
mod hub;
mod known;
mod log_watch;
mod logs;
mod manager;
mod others;
mod reconnect;
mod registry;
mod router;
mod source;
mod story;
mod subscription;
mod subscriptions;
mod watch;

pub(crate) use connection::{PATIENCE, Socket, connect};
pub use event::{DownCause, FeedEvent, GapCause};
pub use frame::{Fault, Frame, FrameError, FrameReader, Held};
pub use hub::FeedCounters;
pub use log_watch::{LogEvent, LogSettings, LogWatch};
pub use logs::{LogNotice, Sighting};
pub use manager::{ConnectionReport, DeliveryReport, FeedError, FeedSettings, WebSocketManager};
pub use reconnect::ReconnectionHandler;
pub use router::{ConnectionDelivery, MessageRouter, Verdict};
pub use source::Via;
pub use subscription::Subscription;
pub use watch::{Role, Watch, WatchId};
