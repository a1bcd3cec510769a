//! Subscriptions over WebSocket: pools and our own accounts, followed without a silent gap.
//!
//! # Design
//! Every watched account is subscribed to on up to two endpoints; a [`MessageRouter`] lets each version through once.
//! A connection that is lost, refused, silent against the slot clock or full of rubbish is made again with all its
//! subscriptions, and when every one is acknowledged and a slot has come, all its accounts are read as of that slot
//! or later. Watches come and go while the feed runs ([`WebSocketManager::follow`], [`WebSocketManager::unfollow`]): live
//! connections subscribe to what is new without being made again, and when all is acknowledged and a slot has come, the
//! new accounts alone are read. Whenever the receiver may have missed something, it is told so by [`FeedEvent::Gap`] before and
//! [`FeedEvent::Restored`] after. A receiver that is too slow finds its channel full; what did not fit is not waited
//! for but counted, and the accounts are read again when there is room.

mod connection;
mod event;
mod frame;
mod heal;
mod hub;
mod log_watch;
mod logs;
mod manager;
mod reconnect;
mod registry;
mod router;
mod subscriptions;
mod watch;

pub use event::{DownCause, FeedEvent, GapCause};
pub use frame::{Fault, Frame, FrameError, FrameReader, Held};
pub use hub::FeedCounters;
pub use log_watch::{LogEvent, LogSettings, LogWatch};
pub use logs::{LogNotice, Sighting};
pub use manager::{ConnectionReport, DeliveryReport, FeedError, FeedSettings, WebSocketManager};
pub use reconnect::ReconnectionHandler;
pub use router::{ConnectionDelivery, MessageRouter, Verdict};
pub use watch::{Role, Watch, WatchId};
