//! One run: feeds in, events through the desk, orders out, on a single thread.
//!
//! Nothing on this path waits for a disk but the journal, and for a network not at all: sends and reads are tasks
//! of the same runtime, and the page and the tables have threads of their own.

mod ends;
mod show;
mod submit;

use std::time::{Duration, Instant};

use anyhow::Context;
use sniper_core::event::{Command, Event, MarketEvent, OrderEvent};
use sniper_core::ids::{OrderId, PoolId, Signature, StrategyId};
use sniper_core::order::Order;
use sniper_core::risk::Mode;
use sniper_core::sim::{SimVenue, Venue as _};
use sniper_core::units::{BlockHeight, Slot};
use sniper_solana::feed::{FeedEvent, Role, WatchId, WebSocketManager};
use sniper_solana::rpc::RpcConnectionPool;
use sniper_solana::tx::{BlockhashCache, TransactionBuilder};
use sniper_solana::venue::{Prepared, SolanaVenue};
use sniper_store::failpoint::{Point, pass};
use sniper_wallet::{KillLatch, LocalSigner, PolicySigner};
use tokio::sync::mpsc;

use super::arrays::Arrays;
use super::checkup::Checkup;
use super::control::{Asked, Control};
use super::desk::Desk;
use super::elsewhere::{Elsewhere, Offered};
use super::landings::{Bid, Landings};
use super::newcomers::Newcomers;
use super::scout::Find;
use super::stall::Stall;
use crate::telemetry::{Stage, WaterfallView};

/// Signs while the kill latch is open.
pub(super) type LiveSigner = PolicySigner<LocalSigner>;

/// Where orders go.
pub(super) enum Orders {
    /// To simulated pools that follow the live ones. Every transaction is built all the same, and none signed.
    Paper(Box<SimVenue>, TransactionBuilder),
    /// To the chain.
    Chain(Box<SolanaVenue<LiveSigner>>),
}

impl Orders {
    /// What builds our transactions.
    pub(super) fn builder(&self) -> &TransactionBuilder {
        match self {
            Self::Paper(_, builder) => builder,
            Self::Chain(venue) => venue.builder(),
        }
    }
}

/// Everything that brings events.
pub(super) struct Sources {
    pub(super) feed: mpsc::Receiver<FeedEvent>,
    /// What became of orders on the chain; silent on paper.
    pub(super) ends: mpsc::Receiver<OrderEvent>,
    /// Independent prices, and words of the token gate.
    pub(super) prices: mpsc::Receiver<Event>,
    /// New pools; silent where nobody looks for them.
    pub(super) finds: mpsc::Receiver<Find>,
    /// Swaps that were built elsewhere; silent where nobody is asked.
    pub(super) offers: mpsc::Receiver<Offered>,
    /// What an operator asks for; silent without a socket.
    pub(super) asked: mpsc::Receiver<Asked>,
    /// The socket, for as long as anybody takes what it brings.
    pub(super) _control: Option<Control>,
}

/// An order between its cause and its end.
struct InFlight {
    order: OrderId,
    strategy: StrategyId,
    caused: Instant,
    sent: Option<Instant>,
    bid: Option<Bid>,
    way: Way,
}

/// Where the time went between its cause and the send.
#[derive(Clone, Copy)]
struct Way {
    /// Begin and end of the step that it came from.
    stepped: [Instant; 2],
    build: Duration,
    sign: Duration,
    journal: Duration,
    send: Duration,
}

impl InFlight {
    fn new(order: &Order, caused: Instant, stepped: [Instant; 2]) -> Self {
        let nothing = Duration::ZERO;
        let way = Way { stepped, build: nothing, sign: nothing, journal: nothing, send: nothing };
        let (order, strategy) = (order.id(), order.strategy());
        Self { order, strategy, caused, sent: None, bid: None, way }
    }

    /// The stages from its cause until `ended`, for the page: when each began, counted from the cause, and how long it
    /// took.
    fn waterfall(&self, strategy: &str, ended: Instant) -> WaterfallView {
        let Way { stepped: [began, stepped], build, sign, journal, send } = self.way;
        let since = |at: Instant| at.saturating_duration_since(self.caused);
        // What is prepared together begins where its first part does: what lies between the parts is nothing's.
        let sent = self.sent.map_or(since(ended), since);
        let journaled = sent.saturating_sub(journal);
        let signed = journaled.saturating_sub(sign);
        let built = signed.saturating_sub(build);
        let spans = [
            (Stage::FeedDelivery, Duration::ZERO, since(began)),
            (Stage::Step, since(began), since(stepped).saturating_sub(since(began))),
            (Stage::Build, built, build),
            (Stage::Sign, signed, sign),
            (Stage::Journal, journaled, journal),
            (Stage::Send, sent, send),
            (Stage::Confirm, sent, since(ended).saturating_sub(sent)),
        ];
        WaterfallView::new(strategy, since(ended), &spans)
    }
}

/// A run under way.
pub(super) struct Session {
    pub(super) desk: Desk,
    pub(super) orders: Orders,
    pub(super) rpc: RpcConnectionPool,
    pub(super) manager: WebSocketManager,
    pub(super) arrays: Arrays,
    pub(super) blockhash: BlockhashCache,
    pub(super) latch: KillLatch,
    pub(super) stale_after: Duration,
    pub(super) newcomers: Newcomers,
    landings: Landings,
    /// Where others may build what an order needs.
    elsewhere: Option<Elsewhere>,
    /// Somebody may look: pictures are made.
    is_shown: bool,
    in_flight: Vec<InFlight>,
    gaps: Vec<usize>,
    heard: Instant,
    messages: u64,
    landed: Slot,
    /// Signed transactions of the orders in flight: a new segment of the journal begins with them.
    pub(super) wires: Vec<Prepared>,
    /// The journal cannot be written.
    pub(super) stall: Option<Stall>,
    /// Ledger against chain.
    pub(super) checkup: Checkup,
    /// Transactions whose end is told by subscription.
    listened: Vec<(WatchId, Signature)>,
    /// Something was handed to the sender since this task last gave way.
    sent: bool,
}

/// How often time passes for the engine when nothing else happens, and what was written is handed to the system.
const TICK: Duration = Duration::from_millis(100);
/// How often the page gets a new picture.
const PUBLISH: Duration = Duration::from_millis(500);
/// How often delivery is measured, and a connection that is too slow moved.
const MEASURE: Duration = Duration::from_secs(30);
/// How often a checkpoint is written for replays to compare with.
const CHECKPOINT: Duration = Duration::from_secs(10);

impl Session {
    #[expect(
        clippy::too_many_arguments,
        reason = "each part is made elsewhere, and all are needed at once"
    )]
    pub(super) fn new(
        desk: Desk,
        orders: Orders,
        rpc: RpcConnectionPool,
        manager: WebSocketManager,
        arrays: Arrays,
        blockhash: BlockhashCache,
        latch: KillLatch,
        stale_after: Duration,
        newcomers: Newcomers,
        landings: Landings,
        elsewhere: Option<Elsewhere>,
        checkup: Checkup,
        is_shown: bool,
    ) -> Self {
        Self {
            desk,
            orders,
            rpc,
            manager,
            arrays,
            blockhash,
            latch,
            stale_after,
            newcomers,
            landings,
            elsewhere,
            is_shown,
            in_flight: Vec::with_capacity(64),
            gaps: Vec::new(),
            heard: Instant::now(),
            messages: 0,
            landed: Slot::ZERO,
            wires: Vec::with_capacity(64),
            stall: None,
            checkup,
            listened: Vec::with_capacity(64),
            sent: false,
        }
    }

    /// Trades until `until` is done, the feed ends, or more waits for the journal than may.
    pub(super) async fn trade(
        &mut self,
        sources: &mut Sources,
        until: impl Future<Output = ()>,
    ) -> anyhow::Result<()> {
        let mut until = std::pin::pin!(until);
        self.turn(sources, Some(&mut until), |_| false).await
    }

    /// Stops: no new orders, those in flight are followed to their end.
    pub(super) async fn wind_down(&mut self, sources: &mut Sources) -> anyhow::Result<()> {
        if self.desk.engine().mode() < Mode::Halt {
            let command = Command::SetMode { mode: Mode::Halt, clear_kill: false };
            self.step(Event::Command(command), Instant::now())?;
        }
        self.drain(sources).await
    }

    /// Follows the orders in flight to their end.
    pub(super) async fn drain(&mut self, sources: &mut Sources) -> anyhow::Result<()> {
        let orders = self.desk.engine().orders().all().len();
        if orders > 0 {
            tracing::info!(orders, "following the orders in flight to their end");
        }
        self.turn_until(sources, |session| session.desk.engine().orders().all().is_empty()).await
    }

    /// Follows the orders in flight until what landed can no longer be taken back.
    pub(super) async fn drain_all(&mut self, sources: &mut Sources) -> anyhow::Result<()> {
        let is_over = |session: &Self| {
            let orders = session.desk.engine().orders();
            orders.all().is_empty() && orders.provisional().is_empty()
        };
        self.turn_until(sources, is_over).await
    }

    /// Goes on until one more comparison than `before` is over.
    pub(super) async fn until_compared(
        &mut self,
        sources: &mut Sources,
        before: u64,
    ) -> anyhow::Result<()> {
        self.turn_until(sources, |session| session.checkup.done() > before).await
    }

    async fn turn_until(
        &mut self,
        sources: &mut Sources,
        is_over: impl Fn(&Self) -> bool,
    ) -> anyhow::Result<()> {
        self.turn(sources, None::<&mut std::future::Pending<()>>, is_over).await
    }

    /// The loop, until one of both says that it is over.
    async fn turn<F: Future<Output = ()> + Unpin>(
        &mut self,
        sources: &mut Sources,
        mut until: Option<&mut F>,
        is_over: impl Fn(&Self) -> bool,
    ) -> anyhow::Result<()> {
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let (mut published, mut checked, mut measured) =
            (Instant::now(), Instant::now(), Instant::now());
        loop {
            if is_over(self) {
                return Ok(());
            }
            if std::mem::take(&mut self.sent) {
                // Sends are tasks of this thread: they must not wait behind a burst of events.
                tokio::task::yield_now().await;
                pass(Point::SendWire);
            }
            tokio::select! {
                biased;
                () = async { match until.as_mut() { Some(f) => f.await, None => std::future::pending().await } } => {
                    return Ok(());
                }
                end = sources.ends.recv() => {
                    let Some(end) = end else { anyhow::bail!("the order tracker ended") };
                    self.take_end(end)?;
                }
                // Before the feed, which may always have something: a flood of it must hold up neither time,
                // the kill latch, nor what orders are compared with.
                _ = tick.tick() => {
                    self.pass_time()?;
                    self.follow_prices()?;
                    let is_due = checked.elapsed() >= CHECKPOINT;
                    self.keep_journal(is_due)?;
                    if is_due {
                        checked = Instant::now();
                        self.desk.look_for_regressions();
                        self.let_go()?;
                    }
                    if measured.elapsed() >= MEASURE {
                        measured = Instant::now();
                        // Moves what is too slow, and logs that it did.
                        self.manager.ensure_sub_100ms_delivery();
                    }
                    if published.elapsed() >= PUBLISH {
                        published = Instant::now();
                        // Logs what it moves.
                        self.manager.leave_lost_endpoints();
                        self.manager.leave_removed_endpoints();
                        self.publish();
                    }
                }
                Some(asked) = sources.asked.recv() => self.take_ask(asked)?,
                Some(price) = sources.prices.recv() => self.step(price, Instant::now())?,
                Some(find) = sources.finds.recv() => self.take_find(find)?,
                Some(offered) = sources.offers.recv() => self.take_offer(offered)?,
                feed = sources.feed.recv() => {
                    let Some(feed) = feed else { anyhow::bail!("the market feed ended") };
                    self.take_feed(feed)?;
                }
            }
        }
    }

    fn take_feed(&mut self, event: FeedEvent) -> anyhow::Result<()> {
        self.heard = Instant::now();
        self.messages += 1;
        match event {
            FeedEvent::Market { watch, event, received } => {
                if self.newcomers.is_past(&event) || !self.arrays.admits(watch, &event) {
                    return Ok(());
                }
                self.desk.timers.record(Stage::FeedDelivery, received.elapsed());
                self.step_market(event, received)
            }
            FeedEvent::Slot { slot, received } => {
                self.rpc.observe_slot(slot);
                let height = BlockHeight::ZERO;
                self.step_market(MarketEvent::Slot { slot, height }, received)
            }
            FeedEvent::Gap { shard, cause } => {
                tracing::warn!(
                    shard,
                    ?cause,
                    "notices may be missing: nothing is approved until they are read again"
                );
                if !self.gaps.contains(&shard) {
                    self.gaps.push(shard);
                }
                self.step_market(MarketEvent::Feed { whole: false }, self.heard)
            }
            FeedEvent::Restored { shard, slot } => {
                self.gaps.retain(|gap| *gap != shard);
                tracing::info!(shard, %slot, "the feed is whole again");
                let whole = self.gaps.is_empty();
                if whole {
                    self.step_market(MarketEvent::Feed { whole }, self.heard)
                } else {
                    Ok(())
                }
            }
            FeedEvent::Unreadable { watch, drifted, .. } => {
                if let Some(kind) = drifted {
                    self.step_market(MarketEvent::Drifted { kind }, self.heard)?;
                }
                // One that was let go meanwhile concerns nobody.
                let Some(pool) = self.manager.watch(watch).and_then(|w| pool_of(w.role)) else {
                    return Ok(());
                };
                tracing::error!(
                    ?pool,
                    "an account of this pool is not what it was: the pool is not traded"
                );
                self.step_market(MarketEvent::Lost { pool }, self.heard)
            }
            FeedEvent::Refused { watch, .. } if self.is_not_told(watch) => Ok(()),
            FeedEvent::Refused { watch, code } => {
                tracing::error!(watch = watch.0, code, "a node does not tell of an account");
                let Some((pool, array)) = self.arrays.refused(watch, self.heard) else {
                    return Ok(());
                };
                // Another connection may have told of it in the meantime.
                self.step_market(MarketEvent::Forgotten { pool, array }, self.heard)
            }
            FeedEvent::ConnectionUp { connection, endpoint } => {
                tracing::info!(connection, %endpoint, "feed connected");
                Ok(())
            }
            FeedEvent::ConnectionDown { connection, endpoint, cause } => {
                tracing::warn!(connection, %endpoint, %cause, "feed connection lost");
                Ok(())
            }
            FeedEvent::Signature { watch, succeeded, slot, .. } => {
                self.take_notice(watch, slot, succeeded);
                Ok(())
            }
            // Asked for by nobody here.
            FeedEvent::OwnToken { .. }
            | FeedEvent::OwnLamports { .. }
            | FeedEvent::Program { .. }
            | FeedEvent::Logs { .. }
            | FeedEvent::Root { .. }
            | FeedEvent::Missed { .. } => Ok(()),
        }
    }

    pub(super) fn step_market(
        &mut self,
        event: MarketEvent,
        received: Instant,
    ) -> anyhow::Result<()> {
        if let Orders::Paper(sim, _) = &mut self.orders {
            sim.observe(&event);
        }
        self.step(Event::Market(event), received)
    }

    fn take_end(&mut self, event: OrderEvent) -> anyhow::Result<()> {
        pass(Point::EndBefore);
        let id = event.order();
        if let OrderEvent::Filled { slot, .. } | OrderEvent::Reverted { slot, .. } = &event {
            self.landed = self.landed.max(*slot);
        }
        if !matches!(event, OrderEvent::Signed { .. })
            && let Some(at) = self.in_flight.iter().position(|f| f.order == id)
        {
            let flight = self.in_flight.swap_remove(at);
            self.landings.note(flight.bid, &event);
            if let (Some(sent), OrderEvent::Filled { .. }) = (flight.sent, &event) {
                let (ended, strategy) = (Instant::now(), flight.strategy);
                let [confirm, full] =
                    [sent, flight.caused].map(|at| ended.saturating_duration_since(at));
                self.desk.timers.record_for(Stage::Confirm, strategy, confirm);
                self.desk.timers.record_for(Stage::FullTrade, strategy, full);
                if self.is_shown {
                    let name = self.desk.engine().strategy_name(strategy);
                    let way = flight.waterfall(name, ended);
                    self.desk.publisher.note_way(way);
                }
            }
        }
        log_end(&event);
        self.step(Event::Order(event), Instant::now())?;
        pass(Point::EndAfter);
        self.forget_wires();
        // What an order's end says about our money must not be lost to a crash.
        self.flush()
    }

    /// Bytes are needed until their order's end is final.
    fn forget_wires(&mut self) {
        let orders = self.desk.engine().orders();
        self.wires.retain(|wire| orders.is_followed(wire.order()));
        self.stop_listening();
    }

    fn pass_time(&mut self) -> anyhow::Result<()> {
        if self.latch.is_engaged() && self.desk.engine().mode() != Mode::Kill {
            let command = Command::SetMode { mode: Mode::Kill, clear_kill: false };
            self.step(Event::Command(command), Instant::now())?;
        }
        self.step(Event::Timer, Instant::now())?;
        self.poll_paper()?;
        self.take_finals()?;
        self.check_up()?;
        self.flush()?;
        self.unstall()
    }

    /// What has become final is told when time passes: nobody waits for it.
    fn take_finals(&mut self) -> anyhow::Result<()> {
        let Orders::Chain(venue) = &self.orders else { return Ok(()) };
        for order in venue.tracker().take_final() {
            self.step(Event::Order(OrderEvent::Finalized { order }), Instant::now())?;
        }
        self.forget_wires();
        Ok(())
    }

    fn poll_paper(&mut self) -> anyhow::Result<()> {
        if !matches!(self.orders, Orders::Paper(..)) {
            return Ok(());
        }
        let (mut events, now) = (Vec::new(), self.desk.now());
        if let Orders::Paper(sim, _) = &mut self.orders
            && sim.next_due().is_some_and(|due| due <= now)
        {
            sim.poll(now, &mut events);
        }
        events.into_iter().try_for_each(|event| self.take_end(event))
    }

    /// Tells whatever numbers mints and pools of one that was announced while trading.
    pub(super) fn learn(&mut self, event: &MarketEvent) -> anyhow::Result<()> {
        match (&mut self.orders, event) {
            (Orders::Chain(venue), event) => venue.learn(event)?,
            (Orders::Paper(_, builder), MarketEvent::Mint(spec)) => drop(builder.add_mint(spec)),
            (Orders::Paper(sim, builder), MarketEvent::Pool(spec)) => {
                builder.add_pool(spec)?;
                sim.observe(event);
            }
            (Orders::Paper(..), _) => {}
        }
        Ok(())
    }

    /// Takes an event and carries out every order it caused.
    pub(super) fn step(&mut self, event: Event, received: Instant) -> anyhow::Result<()> {
        self.desk.step(event).context("write the journal")?;
        while let Some(order) = self.desk.take_order() {
            self.in_flight.push(InFlight::new(&order, received, self.desk.stepped()));
            match &mut self.orders {
                Orders::Paper(..) => self.submit_on_paper(&order)?,
                Orders::Chain(_) => self.submit(&order)?,
            }
        }
        self.desk.settle();
        self.poll_paper()
    }

    /// Whether the ledger was found to differ from the chain in this run.
    pub(super) const fn mismatched(&self) -> bool {
        self.desk.mismatched()
    }

    /// The newest slot in which something of ours landed.
    pub(super) const fn landed(&self) -> Slot {
        self.landed
    }
}

fn log_end(event: &OrderEvent) {
    match event {
        OrderEvent::Filled { order, slot, fee, rent, .. } => {
            tracing::info!(%order, %slot, fee = fee.get(), rent = rent.get(), "order landed");
        }
        OrderEvent::Reverted { order, slot, fee, code } => {
            tracing::info!(%order, %slot, fee = fee.get(), ?code, "order reverted: nothing moved but the fee");
        }
        OrderEvent::Expired { order } => tracing::info!(%order, "order expired"),
        OrderEvent::Rejected { order, reason } => {
            tracing::warn!(%order, ?reason, "order never sent")
        }
        OrderEvent::RolledBack { order } => {
            tracing::warn!(%order, "the block an order had landed in was abandoned: it is taken back");
        }
        OrderEvent::Signed { .. } | OrderEvent::Finalized { .. } => {}
    }
}

fn pool_of(role: Role) -> Option<PoolId> {
    match role {
        Role::Pool { pool, .. } => Some(pool),
        Role::OwnToken(_) | Role::OwnLamports => None,
    }
}
