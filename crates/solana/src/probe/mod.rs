//! What an endpoint is worth, measured from outside: requests and subscriptions of its own, beside any pool.
//!
//! # Design
//! All endpoints are asked at the same time, so that slots and arrivals can be compared. One that does not say which
//! chain it serves is asked nothing else. Nothing here is repeated, hedged or shared, and nothing is asked faster than
//! the endpoint's own configured rate: what is measured is the endpoint, not our way around its faults. What the figures
//! mean is for the caller to say.

mod ask;
mod listen;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use futures_util::future::join_all;
use sniper_core::ids::Address;
use solana_hash::Hash;

use crate::rpc::endpoint::Endpoint;
use crate::rpc::{ConnectError, EndpointConfig, EndpointName, RpcError, make_endpoints};

pub use ask::{METHODS, Method, Need};
pub use listen::{Heard, NotHeard};

/// How long and what.
#[derive(Clone, Debug)]
pub struct ProbeSettings {
    /// How long notices are listened to.
    pub listen: Duration,
    /// How long methods are asked, at most.
    pub ask: Duration,
    /// Times that each method is asked, at most.
    pub samples: usize,
    /// A mint that methods on tokens are asked about.
    pub mint: Address,
}

/// What an endpoint says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Its chain.
    pub genesis: Hash,
    /// The version it tells, shortened and cleaned; none if it tells none.
    pub version: Option<String>,
    /// The slot it is at.
    pub slot: u64,
    /// Blocks below that.
    pub height: u64,
    /// What it refuses `getHealth` with: -32005 when it is behind by its own word.
    pub unwell: Option<i64>,
    /// Seconds that this machine's clock is ahead of the chain's, where the chain tells its time.
    pub clock_ahead: Option<i64>,
}

/// How a method was answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MethodTimes {
    /// Which.
    pub method: &'static str,
    /// Who needs it.
    pub need: Need,
    /// Times from the request to the whole answer, ascending. Refusals that the question deserves are answers.
    pub took: Vec<Duration>,
    /// Answers that were none.
    pub failed: usize,
    /// Of those, "too many requests".
    pub throttled: usize,
    /// The node does not have it.
    pub absent: bool,
    /// What the last failure said.
    pub error: Option<String>,
}

impl MethodTimes {
    /// The time that this share of the answers did not exceed, in hundredths; none without an answer.
    #[must_use]
    pub fn percentile(&self, percent: usize) -> Option<Duration> {
        percentile(&self.took, percent)
    }
}

/// The value that `percent` hundredths of an ascending list do not exceed.
#[must_use]
pub fn percentile<T: Copy>(ascending: &[T], percent: usize) -> Option<T> {
    let at = ascending.len().saturating_mul(percent).div_ceil(100).saturating_sub(1);
    ascending.get(at).copied()
}

/// A burst of small requests at the configured rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Burst {
    /// Requests a second.
    pub rate: u32,
    /// Requests made.
    pub asked: usize,
    /// Refused as too many.
    pub throttled: usize,
}

/// What is known of one endpoint afterwards.
#[derive(Debug)]
pub struct EndpointProbe {
    /// Its configured name.
    pub name: EndpointName,
    /// What it says it is; without that it was asked nothing else.
    pub identity: Result<Identity, RpcError>,
    /// Slots behind the furthest of those asked at the same moment; the median of several rounds.
    pub lag_slots: Option<u64>,
    /// The same of every round in which it answered.
    pub lags: Vec<u64>,
    /// One row for each of [`METHODS`].
    pub methods: Vec<MethodTimes>,
    /// The protocol it answered by.
    pub http_version: Option<&'static str>,
    /// Several questions in one request are answered; none if that could not be found out.
    pub batch: Option<bool>,
    /// How it bears its configured rate.
    pub burst: Option<Burst>,
    /// What its notices were like.
    pub heard: Result<Heard, NotHeard>,
}

/// Looks at all endpoints at once.
///
/// # Errors
/// When no client can be made of the configuration.
pub async fn probe(
    configs: Vec<EndpointConfig>,
    settings: &ProbeSettings,
) -> Result<Vec<EndpointProbe>, ConnectError> {
    let endpoints: Vec<Arc<Endpoint>> =
        make_endpoints(configs)?.into_iter().map(Arc::new).collect();
    let identities = join_all(endpoints.iter().map(|endpoint| ask::identify(endpoint))).await;
    let known = endpoints.iter().zip(&identities).filter(|(_, identity)| identity.is_ok());
    let known: Vec<_> = known.map(|(endpoint, _)| endpoint).collect();
    // Slots and notices first: what methods are asked afterwards would delay both.
    let listening = join_all(known.iter().map(|one| listen::listen(&one.config, settings.listen)));
    let (lags, mut heard) = tokio::join!(ask::lags(&known), listening);
    listen::compare(&mut heard);
    let asking = known.iter().map(|endpoint| ask::endpoint(endpoint, settings));
    let mut asked = lags.into_iter().zip(heard).zip(join_all(asking).await);
    let probes = endpoints.iter().zip(identities).map(|(endpoint, identity)| {
        let nothing = EndpointProbe {
            name: endpoint.name().clone(),
            identity,
            lag_slots: None,
            lags: Vec::new(),
            methods: Vec::new(),
            http_version: None,
            batch: None,
            burst: None,
            heard: Err(NotHeard::NotAsked),
        };
        if nothing.identity.is_err() {
            return nothing;
        }
        let Some(((lags, heard), asked)) = asked.next() else { return nothing };
        let lag_slots = percentile(&lags, 50);
        let ask::Asked { methods, http_version, batch, burst } = asked;
        EndpointProbe { lag_slots, lags, methods, http_version, batch, burst, heard, ..nothing }
    });
    Ok(probes.collect())
}

/// Seconds since 1970 by this machine.
fn unix_now() -> Option<i64> {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).ok()?;
    i64::try_from(since.as_secs()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_is_one_of_the_values_and_none_of_none() {
        let values: Vec<u32> = (1..=20).collect();
        assert_eq!(percentile(&values, 50), Some(10));
        assert_eq!(percentile(&values, 95), Some(19));
        assert_eq!(percentile(&values, 99), Some(20));
        assert_eq!(percentile(&values, 100), Some(20));
        assert_eq!(percentile::<u32>(&[7], 1), Some(7));
        assert_eq!(percentile::<u32>(&[], 50), None);
    }
}
