//! From an approved order to the wire: built, signed, written down, and only then sent.

use std::time::Instant;

use anyhow::Context as _;
use sniper_core::event::{Event, OrderEvent, RejectReason};
use sniper_core::execution::{Landing, State};
use sniper_core::ids::OrderId;
use sniper_core::order::Order;
use sniper_core::sim::Venue as _;
use sniper_solana::venue::Prepared;

use super::{Orders, Session};
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
        self.desk.timers.record(Stage::Build, started.elapsed());
        if let Err(error) = built {
            tracing::error!(order = %order.id(), error = format!("{error:#}"), "order not built");
            return self.reject(order.id(), RejectReason::Unbuildable);
        }
        sim.submit(order, self.desk.now());
        Ok(())
    }

    /// Builds, signs, writes down, and only then sends.
    pub(super) fn submit(&mut self, order: &Order) -> anyhow::Result<()> {
        let Orders::Chain(venue) = &self.orders else { return Ok(()) };
        let prepared = match venue.prepare(order, self.desk.now()) {
            Ok(prepared) => prepared,
            Err(reason) => return self.reject(order.id(), reason),
        };
        if self.is_signed_already(&prepared) {
            tracing::error!(order = %order.id(), "order not sent: another order has the same bytes");
            return self.reject(order.id(), RejectReason::SameBytes);
        }
        self.desk.timers.record(Stage::Build, prepared.build_took);
        self.desk.timers.record(Stage::Sign, prepared.sign_took);
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
        self.send(prepared, order)
    }

    fn is_signed_already(&self, prepared: &Prepared) -> bool {
        let signature = prepared.signature();
        self.desk.engine().orders().all().iter().any(|open| match open.state {
            State::Submitted => false,
            State::Signed { signature: known, .. } => known == signature,
        })
    }

    fn send(&mut self, prepared: Prepared, order: &Order) -> anyhow::Result<()> {
        let Orders::Chain(venue) = &self.orders else { return Ok(()) };
        let started = Instant::now();
        let told = venue.send(&prepared);
        self.sent = true;
        self.desk.timers.record(Stage::Send, started.elapsed());
        if let Some(flight) = self.in_flight.iter_mut().find(|f| f.order == prepared.order()) {
            flight.sent = Some(started);
            // As it was built: nothing else has run on this thread since.
            flight.bid = Some(self.landings.bid(venue.builder().price(order)));
        }
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
