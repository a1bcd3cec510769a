//! Signed bytes to every endpoint at once.

use std::future::Future;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use sniper_core::ids::Signature;
use tokio::task::{AbortHandle, JoinHandle, JoinSet};

use super::answer::Reply;
use super::endpoint::Endpoint;
use super::error::{EndpointName, RpcError};
use super::line::LineError;
use super::pool::{RpcConnectionPool, usable};
use super::read::{Doubt, Weight, ask_typed, judge};

const SEND: &str = "sendTransaction";

/// What became of a send.
#[derive(Debug)]
pub struct SendReport {
    /// Endpoints that took the bytes. "Queued for forwarding", nothing more.
    pub accepted: Vec<EndpointName>,
    /// The others, and why. Whether they forwarded the bytes is unknown.
    pub failed: Vec<RpcError>,
}

impl RpcConnectionPool {
    /// Hands identical signed bytes to every usable endpoint at once. Returns at the first that takes them; the
    /// others go on in the background. Never repeats anything by itself.
    ///
    /// # Errors
    /// All refused or failed: the outcome is unknown unless every error says otherwise, so ask the chain.
    pub(crate) fn send_to_all(
        &self,
        body: &Bytes,
        signature: Signature,
    ) -> impl Future<Output = Result<SendReport, Vec<RpcError>>> + Send + use<> {
        // All are on the wire before anything else is done.
        let answer_bytes = Weight::Light.answer_bytes(SEND);
        let begun: Vec<_> = self
            .send_targets()
            .into_iter()
            .map(|endpoint| {
                let begun = endpoint.begin(body, answer_bytes);
                (endpoint, begun)
            })
            .collect();
        let mut tasks: FuturesUnordered<_> = begun
            .into_iter()
            .map(|(endpoint, begun)| {
                // A task of its own: dropping our future must not tear a request off the wire.
                tokio::spawn(send_one(endpoint, body.clone(), signature, begun))
            })
            .collect();
        async move { first_taken(&mut tasks).await }
    }

    /// Everyone verified whose circuit is closed; if there is nobody, everyone verified.
    fn send_targets(&self) -> Vec<Arc<Endpoint>> {
        let those = |f: &dyn Fn(&Endpoint) -> bool| -> Vec<Arc<Endpoint>> {
            self.endpoints().iter().filter(|endpoint| f(endpoint)).cloned().collect()
        };
        let healthy = those(&usable);
        if healthy.is_empty() {
            return those(&|endpoint| {
                let vitals = endpoint.vitals();
                vitals.is_sworn()
            });
        }
        healthy
    }

    /// Keeps a connection to every endpoint open for sends alone. Run it beside [`Self::monitor`]: without it sends
    /// take the ordinary way.
    pub async fn keep_lines(self) {
        let mut changes = self.inner.endpoints.subscribe();
        let (mut tasks, mut kept) = (JoinSet::new(), Vec::<(Arc<Endpoint>, AbortHandle)>::new());
        loop {
            let here = Arc::clone(&changes.borrow_and_update());
            kept.retain(|(endpoint, line)| {
                let stays = here.iter().any(|here| Arc::ptr_eq(here, endpoint));
                if !stays {
                    line.abort();
                }
                stays
            });
            for endpoint in here.iter() {
                if !kept.iter().any(|(known, _)| Arc::ptr_eq(known, endpoint)) {
                    let keeper = Arc::clone(endpoint);
                    let line = tasks.spawn(async move { keeper.keep_line().await });
                    kept.push((Arc::clone(endpoint), line));
                }
            }
            while tasks.try_join_next().is_some() {}
            if changes.changed().await.is_err() {
                return;
            }
        }
    }
}

async fn send_one(
    endpoint: Arc<Endpoint>,
    body: Bytes,
    signature: Signature,
    begun: Option<impl Future<Output = Result<Reply, LineError>>>,
) -> Result<EndpointName, RpcError> {
    let method = SEND;
    let started = Instant::now();
    endpoint.vitals().budget.take_in_debt(started);
    let wanted = bs58::encode(signature.0).into_string();
    let check = |got: &String| {
        if *got == wanted { Ok(()) } else { Err(Doubt::Impossible("another signature")) }
    };
    if let Some(begun) = begun {
        let answer = endpoint.finish(method, begun, endpoint.limits(method, Weight::Light)).await;
        match answer {
            // The line broke, which idle connections do. The same bytes may always go out once more.
            Err(RpcError::Line { .. }) => {}
            answer => {
                judge(&endpoint, method, started, answer, &check)?;
                return Ok(endpoint.name().clone());
            }
        }
    }
    ask_typed(&endpoint, method, body, &check).await?;
    Ok(endpoint.name().clone())
}

/// The first endpoint that took a send; why not, where none did.
async fn first_taken(
    tasks: &mut FuturesUnordered<JoinHandle<Result<EndpointName, RpcError>>>,
) -> Result<SendReport, Vec<RpcError>> {
    let mut failed = Vec::new();
    while let Some(joined) = tasks.next().await {
        match joined {
            Ok(Ok(name)) => return Ok(SendReport { accepted: vec![name], failed }),
            Ok(Err(error)) => failed.push(error),
            Err(error) => tracing::error!(%error, "send task ended early"),
        }
    }
    if failed.is_empty() {
        failed.push(RpcError::NoEndpoint { method: SEND });
    }
    Err(failed)
}
