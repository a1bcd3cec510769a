//! What a stream leaves for the next in its place.

use yellowstone_grpc_proto::tonic::Status;

use super::status;
use crate::feed::event::DownCause;
use crate::feed::source::Source;
use crate::rpc::EndpointName;

/// What the stream before came to.
#[derive(Debug, Default)]
pub(crate) struct Past {
    /// Where it was.
    endpoint: Option<EndpointName>,
    /// The last slot that it told to the end.
    told: Option<u64>,
    /// Its server never tells anything again.
    never: bool,
}

/// Why a stream is over: by our own judgement, or by its server's.
pub(super) enum End {
    Cause(DownCause),
    Status(Box<Status>),
}

impl Past {
    /// What holds of it for a stream of this source.
    pub(super) fn at(self, source: &Source) -> Self {
        let endpoint = Some(source.endpoint.name().clone());
        if self.endpoint == endpoint { self } else { Self { endpoint, ..Self::default() } }
    }

    /// Where the next stream should begin.
    pub(super) fn resume_slot(&self) -> Option<u64> {
        self.told.filter(|_| !self.never)
    }

    /// A slot was told to the end.
    pub(super) fn tell(&mut self, slot: u64) {
        self.told = self.told.max(Some(slot));
    }

    /// A stream is over. Why, and what that means for the next.
    pub(super) fn ended(&mut self, end: End, replay: bool) -> DownCause {
        let cause = match end {
            End::Cause(cause) => cause,
            End::Status(status) => self.refused(&status, replay),
        };
        // Told again, it would end the next stream too.
        if matches!(cause, DownCause::TooLarge | DownCause::Flooded | DownCause::Garbage) {
            self.told = None;
        }
        cause
    }

    /// A server ended the stream. What it cannot tell again is not asked for again.
    pub(super) fn refused(&mut self, status: &Status, replay: bool) -> DownCause {
        let (cause, never) = status::cause(status, replay);
        self.never |= never;
        if cause == DownCause::NoReplay {
            self.told = None;
        }
        cause
    }
}
