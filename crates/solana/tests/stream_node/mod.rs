//! A node with a Yellowstone stream: the real protocol over a real socket, what is told and what goes wrong by script.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::Stream;
use sniper_core::ids::Address;
use sniper_solana::feed::{
    FeedSettings, ReconnectionHandler, Subscription, Watch, WebSocketManager,
};
use sniper_solana::rpc::{EndpointConfig, PoolSettings, RpcConnectionPool};
use tokio::sync::{broadcast, mpsc};
use yellowstone_grpc_proto::geyser::geyser_server::{Geyser, GeyserServer};
use yellowstone_grpc_proto::geyser::subscribe_request_filter_accounts_filter::Filter;
use yellowstone_grpc_proto::geyser::subscribe_request_filter_accounts_filter_memcmp::Data;
use yellowstone_grpc_proto::geyser::subscribe_update::UpdateOneof;
use yellowstone_grpc_proto::geyser::*;
use yellowstone_grpc_proto::solana::storage::confirmed_block::{
    Message, Transaction, TransactionError, TransactionStatusMeta,
};
use yellowstone_grpc_proto::tonic::transport::Server;
use yellowstone_grpc_proto::tonic::transport::server::TcpIncoming;
use yellowstone_grpc_proto::tonic::{Code, Request, Response, Status, Streaming};

use crate::scripted::Node;
use crate::scripted::feed::{Feed, ours};

/// What the provider gave; must appear nowhere.
pub(crate) const TOKEN: &str = "t0ken-of-the-provider";

/// What a server makes of `from_slot`.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Replay {
    /// Everything from this slot on was kept.
    From(u64),
    Unsupported,
}

pub(crate) struct StreamNode {
    /// Its requests over HTTP and its PubSub.
    pub(crate) node: Node,
    shared: Arc<Shared>,
    port: u16,
    task: tokio::task::JoinHandle<()>,
}

pub(crate) struct Shared {
    told: broadcast::Sender<Sent>,
    /// Everything told, for those who come back.
    kept: Mutex<Vec<(u64, UpdateOneof)>>,
    requests: Mutex<Vec<SubscribeRequest>>,
    streams: Mutex<usize>,
    pub(crate) replay: Mutex<Replay>,
    /// A ping is taken for a request, and not answered.
    pub(crate) is_old: Mutex<bool>,
    /// Every stream is refused with this.
    pub(crate) refuse: Mutex<Option<(Code, &'static str)>>,
}

#[derive(Clone, Debug)]
#[expect(clippy::large_enum_variant, reason = "nearly all of them are updates")]
enum Sent {
    Update(UpdateOneof),
    End(Code, String),
}

#[derive(Clone)]
struct Service(Arc<Shared>);

impl StreamNode {
    pub(crate) async fn start(name: &'static str) -> Self {
        let node = Node::start(name).await;
        let shared = Arc::new(Shared {
            told: broadcast::channel(10_000).0,
            kept: Mutex::default(),
            requests: Mutex::default(),
            streams: Mutex::default(),
            replay: Mutex::new(Replay::From(0)),
            is_old: Mutex::default(),
            refuse: Mutex::default(),
        });
        let incoming = TcpIncoming::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let port = incoming.local_addr().unwrap().port();
        let service = GeyserServer::new(Service(Arc::clone(&shared)));
        let task = tokio::spawn(async move {
            Server::builder().add_service(service).serve_with_incoming(incoming).await.unwrap();
        });
        Self { node, shared, port, task }
    }

    pub(crate) fn config(&self, token: Option<&str>) -> EndpointConfig {
        self.config_over("http", token)
    }

    pub(crate) fn config_over(&self, scheme: &str, token: Option<&str>) -> EndpointConfig {
        let address = format!("{scheme}://127.0.0.1:{}", self.port);
        self.node.config().with_grpc(&address, token).unwrap()
    }

    pub(crate) fn shared(&self) -> &Shared {
        &self.shared
    }

    /// All requests of all streams.
    pub(crate) fn requests(&self) -> Vec<SubscribeRequest> {
        self.shared.requests.lock().unwrap().clone()
    }

    /// Streams that were opened.
    pub(crate) fn streams(&self) -> usize {
        *self.shared.streams.lock().unwrap()
    }

    pub(crate) fn tell(&self, slot: u64, update: UpdateOneof) {
        self.shared.kept.lock().unwrap().push((slot, update.clone()));
        drop(self.shared.told.send(Sent::Update(update)));
    }

    /// Happens while nobody is told.
    pub(crate) fn keep(&self, slot: u64, update: UpdateOneof) {
        self.shared.kept.lock().unwrap().push((slot, update));
    }

    /// Ends every stream.
    pub(crate) fn end(&self, code: Code, text: &str) {
        drop(self.shared.told.send(Sent::End(code, text.to_owned())));
    }

    pub(crate) fn status(&self, slot: u64, parent: Option<u64>, status: SlotStatus) {
        let update = SubscribeUpdateSlot { slot, parent, ..Default::default() };
        let update = SubscribeUpdateSlot { status: status.into(), ..update };
        self.tell(slot, UpdateOneof::Slot(update));
    }

    /// A bank is made.
    pub(crate) fn bank(&self, slot: u64, parent: u64) {
        self.status(slot, Some(parent), SlotStatus::SlotCreatedBank);
    }

    /// A slot has ended; requests are answered as of it.
    pub(crate) fn processed(&self, slot: u64, parent: u64) {
        let known = self.node.chain().slot.max(slot);
        self.node.chain().slot = known;
        self.status(slot, Some(parent), SlotStatus::SlotProcessed);
    }

    /// One more slot from its beginning to its end, without anything in it.
    pub(crate) fn step(&self) -> u64 {
        let slot = self.node.chain().slot + 1;
        self.bank(slot, slot - 1);
        self.processed(slot, slot - 1);
        slot
    }

    /// One of our balances is written.
    pub(crate) fn write(&self, slot: u64, index: u8, version: u64, lamports: u64) {
        self.tell(slot, account(slot, ours(index), version, lamports, &[]));
    }

    /// What requests answer of one of our balances.
    pub(crate) fn holds(&self, index: u8, lamports: u64) {
        self.node.chain().lamports.insert(ours(index).to_string(), lamports);
    }

    /// A clock that makes slots until it is dropped.
    pub(crate) fn clock(self: &Arc<Self>) -> Clock {
        let node = Arc::clone(self);
        Clock(tokio::spawn(async move {
            loop {
                tokio::time::sleep(Duration::from_millis(40)).await;
                node.step();
            }
        }))
    }
}

impl Drop for StreamNode {
    fn drop(&mut self) {
        self.task.abort();
    }
}

pub(crate) struct Clock(tokio::task::JoinHandle<()>);

impl Drop for Clock {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// A feed of these, with the stream's token.
pub(crate) async fn feed(
    nodes: &[&StreamNode],
    subscriptions: &[Subscription],
    settings: FeedSettings,
) -> Feed {
    feed_of(nodes.iter().map(|node| node.config(Some(TOKEN))).collect(), subscriptions, settings)
        .await
}

pub(crate) async fn feed_of(
    configs: Vec<EndpointConfig>,
    subscriptions: &[Subscription],
    settings: FeedSettings,
) -> Feed {
    let reconnection =
        ReconnectionHandler::new(Duration::from_millis(20), Duration::from_millis(200));
    let pool = RpcConnectionPool::connect(configs, PoolSettings::default()).await.unwrap();
    let mut manager = WebSocketManager::new(pool.clone(), settings, reconnection);
    let events = manager.start(subscriptions).unwrap();
    Feed { manager, events, pool }
}

/// Our first balances.
pub(crate) fn balances(count: u8) -> Vec<Subscription> {
    (0..count).map(|index| Watch::own_lamports(ours(index)).into()).collect()
}

pub(crate) fn account(
    slot: u64,
    address: Address,
    version: u64,
    lamports: u64,
    data: &[u8],
) -> UpdateOneof {
    let account = SubscribeUpdateAccountInfo {
        pubkey: address.to_bytes().to_vec(),
        lamports,
        owner: vec![0; 32],
        data: data.to_vec(),
        write_version: version,
        rent_epoch: u64::MAX,
        ..Default::default()
    };
    let account = Some(account);
    UpdateOneof::Account(SubscribeUpdateAccount { account, slot, ..Default::default() })
}

/// A transaction that mentions an address and prints a line.
pub(crate) fn transaction(slot: u64, signature: u8, mentions: Address, line: &str) -> UpdateOneof {
    let message =
        Message { account_keys: vec![mentions.to_bytes().to_vec()], ..Default::default() };
    let meta = TransactionStatusMeta { log_messages: vec![line.to_owned()], ..Default::default() };
    let transaction = SubscribeUpdateTransactionInfo {
        signature: vec![signature; 64],
        transaction: Some(Transaction { message: Some(message), ..Default::default() }),
        meta: Some(meta),
        ..Default::default()
    };
    let transaction = Some(transaction);
    UpdateOneof::Transaction(SubscribeUpdateTransaction { transaction, slot, bank_id: 0 })
}

pub(crate) fn outcome(slot: u64, signature: u8, succeeded: bool) -> UpdateOneof {
    UpdateOneof::TransactionStatus(SubscribeUpdateTransactionStatus {
        slot,
        signature: vec![signature; 64],
        err: (!succeeded).then(TransactionError::default),
        ..Default::default()
    })
}

/// The names of a request's filters that an update passes.
fn names(request: &SubscribeRequest, update: &UpdateOneof) -> Vec<String> {
    fn pick<T>(filters: &HashMap<String, T>, passes: impl Fn(&T) -> bool) -> Vec<String> {
        let passed = filters.iter().filter(|(_, filter)| passes(filter));
        passed.map(|(name, _)| name.clone()).collect()
    }
    match update {
        UpdateOneof::Account(update) => {
            let Some(account) = &update.account else {
                return request.accounts.keys().cloned().collect();
            };
            let text = |bytes: &[u8]| bs58::encode(bytes).into_string();
            let (address, owner) = (text(&account.pubkey), text(&account.owner));
            pick(&request.accounts, |filter| {
                let any = filter.account.is_empty() && filter.owner.is_empty();
                let named = filter.account.contains(&address) || filter.owner.contains(&owner);
                (any || named)
                    && filter.filters.iter().all(|filter| match filter.filter.as_ref().unwrap() {
                        Filter::Datasize(size) => account.data.len() as u64 == *size,
                        Filter::Memcmp(compare) => {
                            let Some(Data::Bytes(bytes)) = &compare.data else { panic!("bytes") };
                            account.data[compare.offset as usize..].starts_with(bytes)
                        }
                        other => panic!("{other:?}"),
                    })
            })
        }
        UpdateOneof::Slot(update) => pick(&request.slots, |filter| {
            let commitment = matches!(
                update.status(),
                SlotStatus::SlotProcessed | SlotStatus::SlotConfirmed | SlotStatus::SlotFinalized
            );
            commitment || filter.interslot_updates == Some(true)
        }),
        UpdateOneof::Transaction(update) => {
            let transaction = update.transaction.as_ref().unwrap();
            let message = transaction.transaction.as_ref().unwrap().message.as_ref().unwrap();
            let keys: Vec<String> =
                message.account_keys.iter().map(|key| bs58::encode(key).into_string()).collect();
            pick(&request.transactions, |filter| {
                filter.account_include.iter().any(|address| keys.contains(address))
            })
        }
        UpdateOneof::TransactionStatus(update) => {
            let signature = bs58::encode(&update.signature).into_string();
            pick(&request.transactions_status, |filter| {
                filter.signature.as_ref() == Some(&signature)
            })
        }
        UpdateOneof::Ping(_) => vec![String::new()],
        other => panic!("{other:?}"),
    }
}

type Updates = mpsc::Sender<Result<SubscribeUpdate, Status>>;

impl Shared {
    async fn pass(request: &SubscribeRequest, updates: &Updates, update: &UpdateOneof) {
        let filters = names(request, update);
        if !filters.is_empty() {
            let update_oneof = Some(update.clone());
            let update = SubscribeUpdate { filters, update_oneof, created_at: None };
            drop(updates.send(Ok(update)).await);
        }
    }

    /// Takes a request as the servers do: a ping is answered and changes nothing, or on old ones the other way round.
    async fn take(
        &self,
        request: SubscribeRequest,
        now: &mut SubscribeRequest,
        updates: &Updates,
    ) -> Result<(), Status> {
        self.requests.lock().unwrap().push(request.clone());
        let is_old = *self.is_old.lock().unwrap();
        if let Some(ping) = request.ping.filter(|_| !is_old) {
            let pong = UpdateOneof::Pong(SubscribeUpdatePong { id: ping.id });
            let update = SubscribeUpdate { update_oneof: Some(pong), ..Default::default() };
            drop(updates.send(Ok(update)).await);
            return Ok(());
        }
        *now = request;
        let Some(from) = now.from_slot else { return Ok(()) };
        let first = match *self.replay.lock().unwrap() {
            Replay::Unsupported => return Err(Status::internal("from_slot is not supported")),
            Replay::From(first) => first,
        };
        if from < first {
            let text = format!("broadcast from {from} is not available, last available: {first}");
            return Err(Status::out_of_range(text));
        }
        let kept = self.kept.lock().unwrap().clone();
        for (_, update) in kept.iter().filter(|(slot, _)| *slot >= from) {
            Self::pass(now, updates, update).await;
        }
        Ok(())
    }

    async fn serve(
        self: Arc<Self>,
        mut told: broadcast::Receiver<Sent>,
        mut requests: Streaming<SubscribeRequest>,
        updates: Updates,
    ) {
        let mut now = SubscribeRequest::default();
        loop {
            let ended = tokio::select! {
                biased;
                request = requests.message() => match request {
                    Ok(Some(request)) => self.take(request, &mut now, &updates).await,
                    _ => return,
                },
                sent = told.recv() => match sent {
                    Ok(Sent::Update(update)) => {
                        Self::pass(&now, &updates, &update).await;
                        Ok(())
                    }
                    Ok(Sent::End(code, text)) => Err(Status::new(code, text)),
                    Err(_) => return,
                },
            };
            if let Err(status) = ended {
                drop(updates.send(Err(status)).await);
                return;
            }
        }
    }
}

type Answer<T> = Result<Response<T>, Status>;

#[yellowstone_grpc_proto::tonic::async_trait]
impl Geyser for Service {
    type SubscribeStream = Pin<Box<dyn Stream<Item = Result<SubscribeUpdate, Status>> + Send>>;
    type SubscribeDeshredStream =
        Pin<Box<dyn Stream<Item = Result<SubscribeUpdateDeshred, Status>> + Send>>;
    type SubscribeGossipStream =
        Pin<Box<dyn Stream<Item = Result<SubscribeUpdateGossip, Status>> + Send>>;

    async fn subscribe(
        &self,
        request: Request<Streaming<SubscribeRequest>>,
    ) -> Answer<Self::SubscribeStream> {
        let token = request.metadata().get("x-token").map(|token| token.as_bytes().to_vec());
        if token.as_deref() != Some(TOKEN.as_bytes()) {
            return Err(Status::unauthenticated("No valid auth token"));
        }
        *self.0.streams.lock().unwrap() += 1;
        if let Some((code, text)) = *self.0.refuse.lock().unwrap() {
            return Err(Status::new(code, text));
        }
        let (updates, mut sent) = mpsc::channel(64);
        let told = self.0.told.subscribe();
        tokio::spawn(Arc::clone(&self.0).serve(told, request.into_inner(), updates));
        Ok(Response::new(Box::pin(futures_util::stream::poll_fn(move |cx| sent.poll_recv(cx)))))
    }

    async fn subscribe_deshred(
        &self,
        _: Request<Streaming<SubscribeDeshredRequest>>,
    ) -> Answer<Self::SubscribeDeshredStream> {
        Err(Status::unimplemented("not asked for"))
    }

    async fn subscribe_gossip(
        &self,
        _: Request<SubscribeGossipRequest>,
    ) -> Answer<Self::SubscribeGossipStream> {
        Err(Status::unimplemented("not asked for"))
    }

    async fn subscribe_replay_info(
        &self,
        _: Request<SubscribeReplayInfoRequest>,
    ) -> Answer<SubscribeReplayInfoResponse> {
        Err(Status::unimplemented("not asked for"))
    }

    async fn ping(&self, _: Request<PingRequest>) -> Answer<PongResponse> {
        Err(Status::unimplemented("not asked for"))
    }

    async fn get_latest_blockhash(
        &self,
        _: Request<GetLatestBlockhashRequest>,
    ) -> Answer<GetLatestBlockhashResponse> {
        Err(Status::unimplemented("not asked for"))
    }

    async fn get_block_height(
        &self,
        _: Request<GetBlockHeightRequest>,
    ) -> Answer<GetBlockHeightResponse> {
        Err(Status::unimplemented("not asked for"))
    }

    async fn get_slot(&self, _: Request<GetSlotRequest>) -> Answer<GetSlotResponse> {
        Err(Status::unimplemented("not asked for"))
    }

    async fn is_blockhash_valid(
        &self,
        _: Request<IsBlockhashValidRequest>,
    ) -> Answer<IsBlockhashValidResponse> {
        Err(Status::unimplemented("not asked for"))
    }

    async fn get_version(&self, _: Request<GetVersionRequest>) -> Answer<GetVersionResponse> {
        Err(Status::unimplemented("not asked for"))
    }
}
