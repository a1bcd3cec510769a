//! From an approved order to the wire: built, signed, written down, and only then sent.

use std::time::Instant;

use anyhow::Context as _;
use sniper_core::event::{Event, OrderEvent, RejectReason};
use sniper_core::execution::{Landing, State};
use sniper_core::ids::OrderId;
use sniper_core::order::{Order, Route};
use sniper_core::risk::Mode;
use sniper_core::sim::Venue as _;
use sniper_solana::jupiter::Checked;
use sniper_solana::venue::Prepared;
use sniper_store::failpoint::{Point, pass};

use super::{Offered, Orders, Session, Way};
use crate::telemetry::Stage;

impl Session {
    /// Builds what live trading would sign, so that an order which cannot be built fails here too.
    pub(super) fn submit_on_paper(&mut self, order: &Order) -> anyhow::Result<()> {
        let Orders::Paper(sim, builder) = &mut self.orders else { return Ok(()) };
        let started = Instant::now();
        let built = match self.blockhash.get() {
            Ok(latest) => builder.swap(order, &latest.hash).map(drop).map_err(anyhow::Error::new),
            Err(error) => Err(anyhow::Error::new(error)),
        };
        self.desk.timers.record_for(Stage::Build, order.strategy(), started.elapsed());
        if let Err(error) = built {
            tracing::error!(order = %order.id(), error = format!("{error:#}"), "order not built");
            return self.reject(order.id(), RejectReason::Unbuildable);
        }
        sim.submit(order, self.desk.now());
        Ok(())
    }

    /// Asks elsewhere first, where that may be better and there is time.
    pub(super) fn submit(&mut self, order: &Order) -> anyhow::Result<()> {
        let (mode, now) = (self.desk.engine().mode(), self.desk.now());
        if let (Orders::Chain(venue), Some(elsewhere)) = (&self.orders, &mut self.elsewhere)
            && elsewhere.ask(order, venue.builder(), mode, now)
        {
            return Ok(());
        }
        self.submit_now(order, None)
    }

    /// An order has waited long enough. What was found counts if it is still better than what our own way gives now.
    pub(super) fn take_offer(&mut self, offered: Offered) -> anyhow::Result<()> {
        let Some(elsewhere) = &mut self.elsewhere else { return Ok(()) };
        let Some((order, mode)) = elsewhere.take(offered.order) else { return Ok(()) };
        let (now, market) = (self.desk.engine().mode(), self.desk.engine().market());
        let reduces = market.is_usd(order.mint_out()) && !market.is_usd(order.mint_in());
        if now > mode && !(now == Mode::ReduceOnly && reduces) {
            tracing::warn!(order = %order.id(), "order not built: trading was restricted while it waited");
            return self.reject(order.id(), RejectReason::SignerRefused);
        }
        let route: Route = order.legs().iter().map(|leg| leg.hop).collect();
        let ours = self.desk.engine().market().quote_route(&route, order.amount_in());
        let swap = offered.swap.filter(|swap| {
            // Where ours gives nothing any more, any that gives the least is better.
            ours.is_err() || ours.is_ok_and(|ours| elsewhere.is_better(swap.brings, ours))
        });
        self.submit_now(&order, swap.as_deref())
    }

    /// Builds, signs, writes down, and only then sends.
    fn submit_now(&mut self, order: &Order, swap: Option<&Checked>) -> anyhow::Result<()> {
        let Orders::Chain(venue) = &self.orders else { return Ok(()) };
        let now = self.desk.now();
        let prepared = match swap {
            Some(swap) => {
                tracing::info!(order = %order.id(), brings = swap.brings.get(), "swap of jupiter used");
                venue.prepare_around(order, swap, now)
            }
            None => venue.prepare(order, now),
        };
        let prepared = match prepared {
            Ok(prepared) => prepared,
            Err(reason) => return self.reject(order.id(), reason),
        };
        if self.is_signed_already(&prepared) {
            tracing::error!(order = %order.id(), "order not sent: another order has the same bytes");
            return self.reject(order.id(), RejectReason::SameBytes);
        }
        let strategy = order.strategy();
        self.desk.timers.record_for(Stage::Build, strategy, prepared.build_took);
        self.desk.timers.record_for(Stage::Sign, strategy, prepared.sign_took);
        let journaling = Instant::now();
        let durable = self
            .desk
            .write_wire(order.id(), &prepared.signature(), prepared.last_valid(), prepared.bytes())
            .and_then(|()| self.desk.sync());
        if let Err(error) = durable {
            // Not durable, so not sent. Nothing more is approved before the next one is told of it.
            tracing::error!(order = %order.id(), %error, "order not sent: the journal cannot be written");
            self.written(Err(error))?;
            return self.reject(order.id(), RejectReason::NotDurable);
        }
        pass(Point::SendBefore);
        self.send(prepared, order, journaling)
    }

    fn is_signed_already(&self, prepared: &Prepared) -> bool {
        let signature = prepared.signature();
        self.desk.engine().orders().all().iter().any(|open| match open.state {
            State::Submitted => false,
            State::Signed { signature: known, .. } => known == signature,
        })
    }

    fn send(
        &mut self,
        prepared: Prepared,
        order: &Order,
        journaling: Instant,
    ) -> anyhow::Result<()> {
        let Orders::Chain(venue) = &self.orders else { return Ok(()) };
        let started = Instant::now();
        let told = venue.send(&prepared);
        pass(Point::SendAfter);
        self.sent = true;
        let send = started.elapsed();
        self.desk.timers.record_for(Stage::Send, order.strategy(), send);
        if let Some(flight) = self.in_flight.iter_mut().find(|f| f.order == prepared.order()) {
            flight.sent = Some(started);
            let journal = started.saturating_duration_since(journaling);
            let (build, sign) = (prepared.build_took, prepared.sign_took);
            flight.way = Way { build, sign, journal, send, ..flight.way };
            // As it was built: nothing else has run on this thread since.
            flight.bid = Some(self.landings.bid(venue.builder().price(order)));
        }
        // After the bytes, which wait for nobody: a node that had executed them already tells so at once.
        self.listen(prepared.signature());
        self.wires.push(prepared);
        let Some(told) = told else { return Ok(()) };
        self.desk.step(Event::Order(told)).context("write the journal")
    }

    /// Follows an order that was signed before this process began: `untold` where the books do not know that, `landing`
    /// what they hold of it already.
    pub(in crate::live) fn resume(
        &mut self,
        prepared: Prepared,
        untold: bool,
        landing: Option<Landing>,
    ) -> anyhow::Result<()> {
        if let Orders::Chain(venue) = &self.orders {
            match landing {
                Some(landing) => venue.resume_landed(&prepared, landing),
                None => venue.resume(&prepared),
            }
        }
        let (order, signature, last_valid) =
            (prepared.order(), prepared.signature(), prepared.last_valid());
        self.wires.push(prepared);
        self.listen(signature);
        if !untold {
            return Ok(());
        }
        let event = OrderEvent::Signed { order, signature, last_valid };
        self.desk.step(Event::Order(event)).context("write the journal")
    }

    pub(in crate::live) fn reject(
        &mut self,
        order: OrderId,
        reason: RejectReason,
    ) -> anyhow::Result<()> {
        self.in_flight.retain(|f| f.order != order);
        self.step(Event::Order(OrderEvent::Rejected { order, reason }), Instant::now())
    }
}
