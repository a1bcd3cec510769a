//! Endpoints that come and go while the pool is in use.
//!
//! # Design
//! A new one is verified before anybody can ask it, as at start. One that leaves gets nothing new from that moment on;
//! what is under way at it ends in peace, for whoever waits for it holds it. The last verified one cannot leave.
//! A majority is always one of those that are here, so taking one away is a decision over money: it is for a person,
//! and nothing here takes it alone.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::endpoint::{Endpoint, EndpointConfig};
use super::error::ConnectError;
use super::pool::RpcConnectionPool;
use super::verify::{admit, check, is_foreign, make_endpoints};

/// Most endpoints of a pool.
const ENDPOINTS_MAX: usize = 32;
/// Longest time that a leaving endpoint is waited for: the longest that a read may take.
const DRAIN_MAX: Duration = Duration::from_secs(60);
const LOOK_EVERY: Duration = Duration::from_millis(20);

impl RpcConnectionPool {
    /// Verifies an endpoint and uses it from then on.
    ///
    /// # Errors
    /// As [`Self::connect`] for this one alone; also a name that is taken, and more endpoints than a pool holds.
    pub async fn add(&self, config: EndpointConfig) -> Result<(), ConnectError> {
        self.room_for(&config)?;
        for endpoint in make_endpoints(vec![config])?.into_iter().map(Arc::new) {
            match check(&endpoint).await {
                Ok(checked) => admit(&endpoint, &checked, self.genesis())?,
                Err(source) if is_foreign(&source) => {
                    let endpoint = endpoint.name().clone();
                    return Err(ConnectError::NotSolana { endpoint, source });
                }
                Err(source) => return Err(ConnectError::Unreachable { source }),
            }
            let mut outcome = Ok(());
            self.inner.endpoints.send_if_modified(|list| {
                // It was free before the endpoint was asked; somebody may have been quicker.
                outcome = free(list, &endpoint.config);
                if outcome.is_ok() {
                    *list = list.iter().cloned().chain([Arc::clone(&endpoint)]).collect();
                }
                outcome.is_ok()
            });
            outcome?;
            tracing::info!(endpoint = %endpoint.name(), "endpoint added");
        }
        Ok(())
    }

    fn room_for(&self, config: &EndpointConfig) -> Result<(), ConnectError> {
        free(&self.endpoints(), config)
    }

    /// Gives an endpoint nothing new, waits until what is under way at it has ended, at most a minute, and takes it
    /// away. Dropped before its end it leaves the endpoint without work, to be drained again or removed.
    ///
    /// # Errors
    /// No endpoint has this name, or it is the last verified one.
    pub async fn drain(&self, name: &str) -> Result<(), ConnectError> {
        let endpoint = self.may_leave(name)?;
        endpoint.vitals().leaving = true;
        let begun = Instant::now();
        while !endpoint.vitals().window.is_empty() && begun.elapsed() < DRAIN_MAX {
            tokio::time::sleep(LOOK_EVERY).await;
        }
        self.remove(name)
    }

    /// Takes an endpoint away at once. Requests under way at it still end.
    ///
    /// # Errors
    /// No endpoint has this name, or it is the last verified one.
    pub fn remove(&self, name: &str) -> Result<(), ConnectError> {
        let mut outcome = Ok(());
        self.inner.endpoints.send_if_modified(|list| {
            match leaver(list, name) {
                Ok(leaves) => {
                    leaves.vitals().leaving = true;
                    *list = list.iter().filter(|e| !Arc::ptr_eq(e, &leaves)).cloned().collect();
                }
                Err(error) => outcome = Err(error),
            }
            outcome.is_ok()
        });
        if outcome.is_ok() {
            tracing::warn!(endpoint = name, "endpoint removed; the others decide from now on");
        }
        outcome
    }

    fn may_leave(&self, name: &str) -> Result<Arc<Endpoint>, ConnectError> {
        leaver(&self.endpoints(), name)
    }
}

fn free(list: &[Arc<Endpoint>], config: &EndpointConfig) -> Result<(), ConnectError> {
    if list.iter().any(|endpoint| endpoint.name() == config.name()) {
        return Err(ConnectError::DuplicateName { name: config.name().to_string() });
    }
    if list.len() >= ENDPOINTS_MAX {
        return Err(ConnectError::TooMany { most: ENDPOINTS_MAX });
    }
    Ok(())
}

/// The endpoint of this name, if the pool can do without it.
fn leaver(list: &[Arc<Endpoint>], name: &str) -> Result<Arc<Endpoint>, ConnectError> {
    let leaves = list.iter().find(|endpoint| **endpoint.name() == *name);
    let leaves = leaves.ok_or_else(|| ConnectError::UnknownName { name: name.to_owned() })?;
    let stays = |endpoint: &&Arc<Endpoint>| {
        let vitals = endpoint.vitals();
        vitals.is_sworn()
    };
    if list.iter().filter(|e| !Arc::ptr_eq(e, leaves)).find(stays).is_none() {
        return Err(ConnectError::LastEndpoint { name: name.to_owned() });
    }
    Ok(Arc::clone(leaves))
}
