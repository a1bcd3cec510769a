//! Which pools trade which mint, and which cycles a pool is part of.

use serde::{Deserialize, Serialize};

use super::rank::{Frontier, NONE, Ranks, Rates, place};
use super::rate::{marginal_of, times_up};
use super::table::{Table, sorted};
use crate::amm::Kind;
use crate::event::MarketEvent;
use crate::ids::{MintId, PoolId};
use crate::market::Market;

/// Most third mints that are looked at one by one when a pool of two mints changes.
pub const TRIANGLES_MAX: usize = 64;

/// Most pairs of mints with more third mints than that: these keep a ranking of their detours.
pub const HUBS_MAX: usize = 32;

/// Two mints that some pools trade, by position in the index.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct EdgeId(u32);

impl EdgeId {
    fn index(self) -> usize {
        place(self.0)
    }
}

fn number(place: usize) -> u32 {
    u32::try_from(place).unwrap_or(u32::MAX)
}

/// A third mint that both mints of an edge trade with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Triangle {
    pub(super) via: MintId,
    /// From the edge's lower mint to the third, and from its higher mint.
    pub(super) sides: [EdgeId; 2],
}

/// A detour of a hub that an edge is one side of.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Feed {
    hub: u32,
    leaf: u32,
    triangle: Triangle,
}

/// A list of which the first lies where its owner does: most edges are part of one triangle alone, and a list of their own
/// for it would be one more place of memory to wait for.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Listed<T> {
    first: Option<T>,
    rest: Vec<T>,
}

impl<T> Listed<T> {
    const fn new() -> Self {
        Self { first: None, rest: Vec::new() }
    }

    fn len(&self) -> usize {
        self.rest.len().saturating_add(usize::from(self.first.is_some()))
    }

    fn push(&mut self, new: T) {
        match self.first {
            None => self.first = Some(new),
            Some(_) => self.rest.push(new),
        }
    }

    fn iter(&self) -> impl Iterator<Item = &T> {
        self.first.iter().chain(&self.rest)
    }
}

/// Two mints, the lower first, with the pools that trade them.
///
/// In lines of memory: an update reads the first, that of the best rates and the one that its own rates lie in.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[repr(C, align(64))]
struct Edge {
    mints: [MintId; 2],
    hub: Option<u32>,
    triangles: Listed<Triangle>,
    /// At most one for each hub: a hub and an edge that share a mint have one triangle.
    feeds: Listed<Feed>,
    /// In order of announcement, as are the leaves of `ranks`.
    pools: Vec<PoolId>,
    /// Rates of the pools: from the lower mint to the higher, and back. Of an edge that is [alone](Self::is_alone) none.
    ranks: Ranks,
}

impl Edge {
    /// No cycle can pass it: it has one pool, and is no part of a triangle. Most pairs of a market are like that, and
    /// nobody asks what their pools bring.
    fn is_alone(&self) -> bool {
        self.hub.is_none() && self.triangles.first.is_none() && self.ranks.len() < 2
    }
}

/// An edge with more triangles than may be looked at one by one: they are ranked by what the detour brings.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Hub {
    mints: [MintId; 2],
    triangles: Vec<Triangle>,
    /// Rates of the detours: from the higher mint to the lower by way of the third, and back.
    ranks: Ranks,
}

/// A pool among those that trade its mints: all rates are from the lower mint to the higher, and back.
pub(super) struct Among {
    pub(super) edge: EdgeId,
    /// The lower first.
    pub(super) mints: [MintId; 2],
    pub(super) own: Rates,
    /// The best of each direction.
    pub(super) best: Rates,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Seat {
    edge: EdgeId,
    leaf: u32,
    /// The pool's mint 0 is the lower one.
    in_order: bool,
    /// It is on the list of those that are between two states, or were since the last slot.
    torn: bool,
}

/// The market as a graph of mints; see the [module](super).
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Index {
    seats: Vec<Seat>,
    edges: Vec<Edge>,
    /// The best rates of each edge: all that a neighbour needs to know of it, close together.
    tops: Vec<Rates>,
    /// Edges of each mint with the mint at the other end, in order of announcement.
    neighbours: Vec<Vec<(MintId, EdgeId)>>,
    table: Table,
    hubs: Vec<Hub>,
    dropped: u64,
    /// To be asked again at the next slot, which may settle them.
    torn: Vec<PoolId>,
    /// Edges that are no longer alone, while pools are announced: their pools are asked for the first time.
    #[serde(skip)]
    joined: Vec<EdgeId>,
}

/// From the lower mint to the higher is the first direction.
pub(super) fn backward(mint_in: MintId, mint_out: MintId) -> bool {
    mint_in > mint_out
}

/// One of two directions.
pub(super) fn side<T: Copy>(pair: [T; 2], second: bool) -> T {
    if second { pair[1] } else { pair[0] }
}

impl Index {
    /// An index of no pools.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Keeps step with the market: to be called with each event that the market has taken.
    ///
    /// Work of an account or a lost pool: that of [`Self::refresh`]; of a slot the same for each pool that was between
    /// two states since the slot before. Allocates only as pools are announced, or torn in greater numbers than ever.
    pub fn follow(&mut self, market: &Market, event: &MarketEvent) {
        match event {
            MarketEvent::Pool(_) => self.announce(market),
            MarketEvent::Account { pool, .. } | MarketEvent::Close { pool, .. } => {
                self.refresh(market, *pool);
                if is_torn(market, *pool)
                    && let Some(seat) = self.seats.get_mut(pool.index())
                    && !seat.torn
                {
                    seat.torn = true;
                    self.torn.push(*pool);
                }
            }
            MarketEvent::Lost { pool } | MarketEvent::Forgotten { pool, .. } => {
                self.refresh(market, *pool);
            }
            MarketEvent::Slot { .. } => self.settle(market),
            MarketEvent::Drifted { kind } => self.drifted(market, *kind),
            MarketEvent::Mint(_)
            | MarketEvent::Launched { .. }
            | MarketEvent::Gate { .. }
            | MarketEvent::Reference { .. }
            | MarketEvent::Candle(_)
            | MarketEvent::Feed { .. } => {}
        }
    }

    /// The pools of a kind give no quote any more. Looks at every pool: a program changes seldom.
    pub fn drifted(&mut self, market: &Market, kind: Kind) {
        for (id, pool) in (0..).map(PoolId).zip(market.pools()) {
            if pool.live.kind() == kind {
                self.refresh(market, id);
            }
        }
    }

    /// Asks the pools again that were between two states and are no longer.
    fn settle(&mut self, market: &Market) {
        let mut at = 0;
        while let Some(pool) = self.torn.get(at).copied() {
            if is_torn(market, pool) {
                at = at.saturating_add(1);
                continue;
            }
            self.torn.swap_remove(at);
            if let Some(seat) = self.seats.get_mut(pool.index()) {
                seat.torn = false;
            }
            self.refresh(market, pool);
        }
    }

    /// Takes in the pools announced since the last call, with their rates.
    ///
    /// Amortised constant time for a pool of mints that are known to trade. The first pool of two mints also finds
    /// the third mints that trade with both: as many steps as the one of them has neighbours that has fewer.
    pub fn announce(&mut self, market: &Market) {
        let mut at = self.seats.len();
        while let Some(pool) = market.pools().get(at) {
            let [first, second] = pool.spec.mints;
            let edge = self.edge_of(sorted(first, second));
            let mut leaf = 0;
            let id = u32::try_from(at).map(PoolId).unwrap_or_default();
            if let Some(known) = self.edges.get_mut(edge.index()) {
                let was_alone = known.is_alone();
                known.pools.push(id);
                leaf = number(known.ranks.push());
                if was_alone && !known.is_alone() {
                    self.joined.push(edge);
                }
            }
            self.seats.push(Seat { edge, leaf, in_order: first <= second, torn: false });
            self.refresh(market, id);
            self.ask_joined(market);
            at = at.saturating_add(1);
        }
    }

    fn ask_joined(&mut self, market: &Market) {
        while let Some(edge) = self.joined.pop() {
            for nth in 0..self.pools(edge).len() {
                if let Some(pool) = self.pools(edge).get(nth).copied() {
                    self.refresh(market, pool);
                }
            }
        }
    }

    /// Asks a pool for its rates again, after any change to it; says whether they are others than before. One that no cycle
    /// can pass is not asked.
    ///
    /// Work: two quotes, a level per doubling of the pools of its pair, and if these now have another best rate, one
    /// detour for each of at most [`HUBS_MAX`] hubs. Allocates nothing.
    pub fn refresh(&mut self, market: &Market, pool: PoolId) -> bool {
        // What lies far apart in memory is asked for before any of it is needed, so that the waits overlap: first the edge,
        // which is two hops away, with the rates known so far, and then the pool.
        let Some(Seat { edge: id, leaf, in_order, .. }) = self.seats.get(pool.index()).copied()
        else {
            return false;
        };
        let leaf = place(leaf);
        let Some(edge) = self.edges.get_mut(id.index()) else { return false };
        if edge.is_alone() {
            return false;
        }
        let (before, best) = (edge.ranks.get(leaf), edge.ranks.top());
        let [low, high] = edge.mints;
        let settled = market.pool(pool).map(|pool| &pool.live).filter(|live| live.is_settled());
        let rates = match settled {
            // A pool of one mint with itself is no way to anywhere.
            Some(live) if low != high => {
                let clock = market.clock();
                let rate = |forward| marginal_of(live, forward, &clock).unwrap_or_default();
                [rate(in_order), rate(!in_order)]
            }
            _ => NONE,
        };
        if before == rates {
            return false;
        }
        edge.ranks.set(leaf, rates);
        let top = edge.ranks.top();
        if top != best {
            // Known to be another: what is there need not be waited for.
            if let Some(known) = self.tops.get_mut(id.index()) {
                *known = top;
            }
            self.feed(id);
        }
        true
    }

    /// Brings the detours that pass an edge up to date.
    fn feed(&mut self, id: EdgeId) {
        let Some(edge) = self.edges.get(id.index()) else { return };
        for Feed { hub, leaf, triangle } in edge.feeds.iter() {
            let Some(hub) = self.hubs.get_mut(place(*hub)) else { continue };
            hub.ranks.set(place(*leaf), detour(&self.tops, hub.mints, *triangle));
        }
    }

    fn edge_of(&mut self, mints: [MintId; 2]) -> EdgeId {
        if let Some(edge) = self.table.get(mints) {
            return EdgeId(edge);
        }
        // There are no more edges than pools, which are numbered in 32 bits.
        let id = EdgeId(number(self.edges.len()));
        self.table.add(mints, id.0);
        self.edges.push(Edge {
            mints,
            pools: Vec::new(),
            ranks: Ranks::default(),
            triangles: Listed::new(),
            feeds: Listed::new(),
            hub: None,
        });
        self.tops.push(NONE);
        let [low, high] = mints;
        if low == high {
            return id;
        }
        let fewer =
            if self.neighbours(low).len() <= self.neighbours(high).len() { low } else { high };
        for nth in 0..self.neighbours(fewer).len() {
            let Some((via, _)) = self.neighbours(fewer).get(nth).copied() else { break };
            if let (Some(to_low), Some(to_high)) = (self.edge(low, via), self.edge(high, via)) {
                self.add_triangle(id, Triangle { via, sides: [to_low, to_high] });
                for (side, (near, far)) in [(to_low, (low, high)), (to_high, (high, low))] {
                    let other = if side == to_low { to_high } else { to_low };
                    // Seen from the edge near-via, the third mint is `far`.
                    let sides = if near < via { [id, other] } else { [other, id] };
                    self.add_triangle(side, Triangle { via: far, sides });
                }
            }
        }
        for (mint, other) in [(low, high), (high, low)] {
            if self.neighbours.len() <= mint.index() {
                self.neighbours.resize(mint.index().saturating_add(1), Vec::new());
            }
            if let Some(edges) = self.neighbours.get_mut(mint.index()) {
                edges.push((other, id));
            }
        }
        id
    }

    fn add_triangle(&mut self, id: EdgeId, triangle: Triangle) {
        let Some(edge) = self.edges.get_mut(id.index()) else { return };
        if let Some(hub) = edge.hub {
            return self.add_detour(place(hub), triangle);
        }
        if edge.triangles.len() < TRIANGLES_MAX {
            if edge.is_alone() {
                self.joined.push(id);
            }
            edge.triangles.push(triangle);
            return;
        }
        let hub = self.hubs.len();
        if hub == HUBS_MAX {
            self.dropped = self.dropped.saturating_add(1);
            return;
        }
        edge.hub = Some(number(hub));
        let known = std::mem::replace(&mut edge.triangles, Listed::new());
        self.hubs.push(Hub { mints: edge.mints, triangles: Vec::new(), ranks: Ranks::default() });
        for triangle in known.iter().copied().chain([triangle]) {
            self.add_detour(hub, triangle);
        }
    }

    fn add_detour(&mut self, at: usize, triangle: Triangle) {
        let Some(hub) = self.hubs.get_mut(at) else { return };
        let leaf = hub.ranks.push();
        hub.triangles.push(triangle);
        hub.ranks.set(leaf, detour(&self.tops, hub.mints, triangle));
        for side in triangle.sides {
            if let Some(edge) = self.edges.get_mut(side.index()) {
                edge.feeds.push(Feed { hub: number(at), leaf: number(leaf), triangle });
            }
        }
    }

    /// The edge of two mints, if some pool trades them.
    #[must_use]
    pub fn edge(&self, a: MintId, b: MintId) -> Option<EdgeId> {
        self.table.get(sorted(a, b)).map(EdgeId)
    }

    /// The pools of an edge, in order of announcement.
    #[must_use]
    pub fn pools(&self, edge: EdgeId) -> &[PoolId] {
        self.edges.get(edge.index()).map_or(&[], |edge| &edge.pools)
    }

    /// The mints that a mint trades with, in order of announcement.
    #[must_use]
    pub fn neighbours(&self, mint: MintId) -> &[(MintId, EdgeId)] {
        self.neighbours.get(mint.index()).map_or(&[], |edges| edges)
    }

    /// How many pools it knows.
    #[must_use]
    pub fn len(&self) -> usize {
        self.seats.len()
    }

    /// Whether it knows no pools.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.seats.is_empty()
    }

    /// Ways round three mints that an update of one of their pairs does not look at, because the pair has more than
    /// [`TRIANGLES_MAX`] of them and [`HUBS_MAX`] others do too. Updates of their other pairs still do.
    #[must_use]
    pub const fn dropped(&self) -> u64 {
        self.dropped
    }

    /// What a search for cycles through a pool begins with.
    pub(super) fn rates(&self, pool: PoolId) -> Option<Among> {
        let seat = self.seats.get(pool.index())?;
        let edge = self.edges.get(seat.edge.index())?;
        let (own, best) = (edge.ranks.get(place(seat.leaf)), edge.ranks.top());
        Some(Among { edge: seat.edge, mints: edge.mints, own, best })
    }

    /// Pools of an edge from the best rate down; see [`Ranks::descend`]. None of an edge with one pool and no triangle.
    pub(super) fn best_pools(
        &self,
        edge: EdgeId,
        second: bool,
        frontier: &mut Frontier,
        wanted: impl Fn(crate::units::Price) -> bool,
        mut visit: impl FnMut(PoolId, crate::units::Price) -> bool,
    ) {
        let Some(edge) = self.edges.get(edge.index()) else { return };
        edge.ranks.descend(second, frontier, wanted, |leaf, rate| {
            edge.pools.get(leaf).is_some_and(|pool| visit(*pool, rate))
        });
    }

    /// Third mints from where a detour back is `wanted`: of a hub from the best down, of another edge in order of
    /// announcement. `second` goes back from the lower mint to the higher.
    pub(super) fn detours(
        &self,
        edge: EdgeId,
        second: bool,
        frontier: &mut Frontier,
        wanted: impl Fn(crate::units::Price) -> bool,
        mut visit: impl FnMut(Triangle) -> bool,
    ) {
        let Some(edge) = self.edges.get(edge.index()) else { return };
        if let Some(hub) = edge.hub.and_then(|hub| self.hubs.get(place(hub))) {
            hub.ranks.descend(second, frontier, wanted, |leaf, _| {
                hub.triangles.get(leaf).is_some_and(|triangle| visit(*triangle))
            });
            return;
        }
        for triangle in edge.triangles.iter() {
            let rate = side(detour(&self.tops, edge.mints, *triangle), second);
            if rate.raw() > 0 && wanted(rate) && !visit(*triangle) {
                return;
            }
        }
    }
}

fn is_torn(market: &Market, pool: PoolId) -> bool {
    market.pool(pool).is_some_and(|pool| pool.live.is_torn())
}

/// What the way back by the third mint brings at best: from the higher mint to the lower, and the other way.
fn detour(tops: &[Rates], [low, high]: [MintId; 2], triangle: Triangle) -> Rates {
    let top = |edge: EdgeId| tops.get(edge.index()).copied().unwrap_or(NONE);
    let [to_low, to_high] = triangle.sides;
    let (near, far) = (top(to_low), top(to_high));
    let rate = |rates, mint_in, mint_out| side(rates, backward(mint_in, mint_out));
    let via = triangle.via;
    [
        times_up(rate(far, high, via), rate(near, via, low)),
        times_up(rate(near, low, via), rate(far, via, high)),
    ]
}
