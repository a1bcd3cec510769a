//! How an endpoint is listened to.

use std::fmt;

use crate::rpc::EndpointConfig;

/// What a connection of the feed speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Via {
    /// Subscriptions of the node's PubSub.
    WebSocket,
    /// A stream of its Yellowstone plugin, where this build can.
    Grpc,
}

impl fmt::Display for Via {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::WebSocket => "ws",
            Self::Grpc => "grpc",
        })
    }
}

/// An endpoint, and the way to listen to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Source {
    pub(crate) endpoint: EndpointConfig,
    pub(crate) via: Via,
}

impl Source {
    /// Where to listen, best first. Each endpoint is there once before any is there twice: its stream if it has one, which
    /// tells sooner, and the WebSockets of those behind the others. So whoever takes two takes two endpoints where he can.
    pub(super) fn of(endpoints: &[EndpointConfig]) -> Vec<Self> {
        let first = endpoints.iter().map(|endpoint| {
            let via = if endpoint.has_grpc() { Via::Grpc } else { Via::WebSocket };
            Self { endpoint: endpoint.clone(), via }
        });
        let second = endpoints.iter().filter(|endpoint| endpoint.has_grpc());
        let second = second.map(|one| Self { endpoint: one.clone(), via: Via::WebSocket });
        first.chain(second).collect()
    }

    /// The same way to an endpoint of the same name, wherever that is now.
    pub(super) fn is_named_as(&self, other: &Self) -> bool {
        self.via == other.via && self.endpoint.name() == other.endpoint.name()
    }
}
