//! Endpoints that come and go in a run, by the word of a person: what the configuration file says, the pools follow.
//!
//! # Design
//! The file is looked at every second, and read once it has stood still for as long: an editor that writes in pieces is
//! never read halfway. It is checked as a whole, on a thread of its own, before anything of it is taken up; a file that
//! does not check changes nothing. Endpoints alone are taken up; what else has changed is named, and holds from the next
//! start on. Each pool of the process then makes its members those that are wanted: first it adds, then it drains, so
//! that there is always one; what cannot be reached yet is tried again. Taking an endpoint away is a decision over money,
//! since a majority is one of those that are here: nothing but the file takes one away.

use std::collections::BTreeMap;
use std::future::Future;
use std::time::Duration;

use sniper_solana::rpc::{ConnectError, EndpointConfig, EndpointName, RpcConnectionPool};
use tokio::sync::watch;

use crate::config::{Changed, Reload};

/// How often files are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Pause before an endpoint that could not be added or taken away is tried again.
const AGAIN: Duration = Duration::from_secs(5);

/// The endpoints of a run, and the files that may change them.
pub(super) struct Wanted {
    list: watch::Sender<Vec<EndpointConfig>>,
    reload: Option<Reload>,
}

impl Wanted {
    /// These, and with `reload` those that its files come to name.
    pub(super) fn new(list: Vec<EndpointConfig>, reload: Option<Reload>) -> Self {
        Self { list: watch::Sender::new(list), reload }
    }

    /// Those wanted now, each with a share of its budget.
    pub(super) fn list(&self, share: Share) -> Vec<EndpointConfig> {
        self.list.borrow().iter().map(|endpoint| shared(endpoint, share)).collect()
    }

    pub(super) fn subscribe(&self) -> watch::Receiver<Vec<EndpointConfig>> {
        self.list.subscribe()
    }

    /// Follows the files, if there are any.
    pub(super) fn follow(&self) -> impl Future<Output = ()> + Send + use<> {
        let (reload, list) = (self.reload.clone(), self.list.clone());
        async move {
            if let Some(reload) = reload {
                follow_files(reload, list).await;
            }
        }
    }
}

/// Tells the endpoints that the files want, whenever these change. Ends when nobody listens.
async fn follow_files(reload: Reload, wanted: watch::Sender<Vec<EndpointConfig>>) {
    let mut read = reload.stamps();
    let mut seen = read.clone();
    while !wanted.is_closed() {
        tokio::time::sleep(LOOK_EVERY).await;
        let now = reload.stamps();
        let stands = now == seen;
        seen = now;
        if !stands || seen == read {
            continue;
        }
        read.clone_from(&seen);
        let again = reload.clone();
        match tokio::task::spawn_blocking(move || again.read()).await {
            Ok(Ok(changed)) => take_up(changed, &wanted),
            Ok(Err(error)) => {
                tracing::error!(%error, "the configuration was changed and does not check: nothing of it is taken up");
            }
            Err(error) => tracing::error!(%error, "the configuration could not be read again"),
        }
    }
}

fn take_up(changed: Changed, wanted: &watch::Sender<Vec<EndpointConfig>>) {
    let Changed { endpoints, needs_restart } = changed;
    if !needs_restart.is_empty() {
        let settings = needs_restart.join(", ");
        tracing::warn!(
            settings,
            "these settings were changed and are not taken up: they need a restart; endpoints alone change in a run"
        );
    }
    let changes = wanted.send_if_modified(|known| {
        let changes = *known != endpoints;
        *known = endpoints;
        changes
    });
    if changes {
        tracing::info!("the configuration names other endpoints: taking them up");
    }
}

/// A part of each endpoint's budget, in parts of a whole.
pub(super) type Share = Option<(u32, u32)>;

/// What of an endpoint a pool may use.
fn shared(endpoint: &EndpointConfig, share: Share) -> EndpointConfig {
    match share {
        Some((part, whole)) => endpoint.clone().with_share(part, whole),
        None => endpoint.clone(),
    }
}

/// Makes the pool's members those that are wanted, now and whenever that changes. It begins with those wanted first.
pub(super) async fn keep_members(
    rpc: RpcConnectionPool,
    mut wanted: watch::Receiver<Vec<EndpointConfig>>,
    share: Share,
) {
    let mut members = Members::new(rpc, &wanted.borrow_and_update(), share);
    loop {
        // At least once a while also without change: what could not be done is tried again.
        let changed = tokio::time::timeout(AGAIN, wanted.changed()).await;
        if matches!(changed, Ok(Err(_))) {
            return; // nobody can want anything else any more
        }
        let list = wanted.borrow_and_update().clone();
        members.become_those(&list).await;
    }
}

/// The members of a pool, as they were made.
struct Members {
    rpc: RpcConnectionPool,
    share: Share,
    known: BTreeMap<EndpointName, EndpointConfig>,
    /// What could not be done was told.
    told: BTreeMap<EndpointName, String>,
}

impl Members {
    fn new(rpc: RpcConnectionPool, first: &[EndpointConfig], share: Share) -> Self {
        let known = first.iter().map(|one| (one.name().clone(), one.clone())).collect();
        Self { rpc, share, known, told: BTreeMap::new() }
    }

    /// One step towards what is wanted.
    async fn become_those(&mut self, wanted: &[EndpointConfig]) {
        self.told.retain(|name, _| {
            wanted.iter().any(|one| one.name() == name) || self.known.contains_key(name)
        });
        for endpoint in wanted {
            if !self.known.contains_key(endpoint.name()) {
                self.add(endpoint).await;
            }
        }
        let gone = |known: &EndpointConfig| !wanted.contains(known);
        let leaving: Vec<_> = self.known.values().filter(|known| gone(known)).cloned().collect();
        for endpoint in leaving {
            let name = endpoint.name();
            if let Err(error) = self.rpc.drain(name).await
                && !matches!(error, ConnectError::UnknownName { .. })
            {
                self.tell(name, &error);
                continue;
            }
            self.known.remove(name);
            // Of the same name, and another address or budget.
            if let Some(other) = wanted.iter().find(|other| other.name() == name) {
                self.add(other).await;
            }
        }
    }

    async fn add(&mut self, endpoint: &EndpointConfig) {
        let name = endpoint.name();
        match self.rpc.add(shared(endpoint, self.share)).await {
            Ok(()) => {
                self.known.insert(name.clone(), endpoint.clone());
                self.told.remove(name);
            }
            Err(error) => self.tell(name, &error),
        }
    }

    /// Once for each cause: it is tried again every few seconds.
    fn tell(&mut self, name: &EndpointName, error: &ConnectError) {
        let text = match std::error::Error::source(error) {
            Some(cause) => format!("{error}: {cause}"),
            None => error.to_string(),
        };
        if self.told.get(name) == Some(&text) {
            return;
        }
        tracing::error!(endpoint = %name, error = text, "the endpoints are not those of the configuration yet");
        self.told.insert(name.clone(), text);
    }
}
