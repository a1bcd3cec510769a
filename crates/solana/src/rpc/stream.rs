//! Answers too large, or too many, to be held and read twice.

use std::time::{Duration, Instant};

use bytes::Bytes;

use super::endpoint::Endpoint;
use super::error::{EndpointName, RpcError};
use super::http::Answer;
use super::pool::RpcConnectionPool;
use super::ticket::Ticket;

/// Longest silence within an answer; a node walks over all accounts of a program before it says its first word.
const SILENCE_MAX: Duration = Duration::from_secs(60);

/// The body of an answer, in pieces as they come. Say how reading it ended with [`Self::done`].
#[derive(Debug)]
pub(crate) struct Chunks {
    ticket: Ticket,
    method: &'static str,
    started: Instant,
    response: Answer,
}

impl RpcConnectionPool {
    /// Asks the best endpoint, once.
    ///
    /// # Errors
    /// As every read.
    pub(crate) async fn open(&self, method: &'static str, body: Bytes) -> Result<Chunks, RpcError> {
        let ticket = self.pick(method, None).await?;
        let endpoint = &*ticket.endpoint;
        let started = Instant::now();
        endpoint.vitals().requests += 1;
        let head = tokio::time::timeout(SILENCE_MAX, endpoint.open(method, body)).await;
        match head.unwrap_or_else(|_| Err(silent(endpoint, method))) {
            Ok(response) => Ok(Chunks { ticket, method, started, response }),
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
        self.ticket.endpoint.name()
    }

    /// The next piece; none at the end.
    ///
    /// # Errors
    /// When the connection fails or falls silent.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, RpcError> {
        match tokio::time::timeout(SILENCE_MAX, self.response.chunk()).await {
            Ok(Ok(piece)) => Ok(piece),
            Ok(Err(source)) => Err(self.ticket.endpoint.transport(self.method, source)),
            Err(_) => Err(silent(&self.ticket.endpoint, self.method)),
        }
    }

    /// Counts how it went for or against the endpoint.
    pub(crate) fn done(self, error: Option<&RpcError>) {
        self.ticket.endpoint.book(self.method, self.started, error);
    }
}

fn silent(endpoint: &Endpoint, method: &'static str) -> RpcError {
    RpcError::Timeout { endpoint: endpoint.name().clone(), method, waited: SILENCE_MAX }
}
