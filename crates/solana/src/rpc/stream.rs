//! Answers too large, or too many, to be held and read twice.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::endpoint::Endpoint;
use super::error::{EndpointName, RpcError};
use super::pool::RpcConnectionPool;

/// Longest silence within an answer; a node walks over all accounts of a program before it says its first word.
const SILENCE_MAX: Duration = Duration::from_secs(60);

/// The body of an answer, in pieces as they come. Say how reading it ended with [`Self::done`].
#[derive(Debug)]
pub(crate) struct Chunks {
    endpoint: Arc<Endpoint>,
    method: &'static str,
    started: Instant,
    response: reqwest::Response,
}

impl RpcConnectionPool {
    /// Asks the best endpoint, once.
    ///
    /// # Errors
    /// As every read.
    pub(crate) async fn open(&self, method: &'static str, body: Bytes) -> Result<Chunks, RpcError> {
        let endpoint = self.pick(method, None).await?;
        let started = Instant::now();
        endpoint.vitals().requests += 1;
        let head = tokio::time::timeout(SILENCE_MAX, endpoint.open(method, body)).await;
        match head.unwrap_or_else(|_| Err(silent(&endpoint, method))) {
            Ok(response) => Ok(Chunks { endpoint, method, started, response }),
            Err(error) => {
                endpoint.book(method, started, Some(&error));
                Err(error)
            }
        }
    }
}

impl Chunks {
    /// Who answers.
    pub(crate) fn endpoint(&self) -> &EndpointName {
        self.endpoint.name()
    }

    /// The next piece; none at the end.
    ///
    /// # Errors
    /// When the connection fails or falls silent.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, RpcError> {
        match tokio::time::timeout(SILENCE_MAX, self.response.chunk()).await {
            Ok(Ok(piece)) => Ok(piece),
            Ok(Err(source)) => Err(self.endpoint.transport(self.method, source)),
            Err(_) => Err(silent(&self.endpoint, self.method)),
        }
    }

    /// Counts how it went for or against the endpoint.
    pub(crate) fn done(self, error: Option<&RpcError>) {
        self.endpoint.book(self.method, self.started, error);
    }
}

fn silent(endpoint: &Endpoint, method: &'static str) -> RpcError {
    RpcError::Timeout { endpoint: endpoint.name().clone(), method, waited: SILENCE_MAX }
}
