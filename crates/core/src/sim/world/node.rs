//! Nodes: what they say is not always so, and they do not always say it.

use super::chain::{Chain, Holdings, MOST_BEHIND};
use super::dice::Dice;
use super::plan::{Fault, Plan};
use super::setting::MINTS;
use crate::execution::{Commitment, Knows, Landing, Status, Word};
use crate::ids::{MintId, Signature};
use crate::units::{BlockHeight, Lamports, Slot};

#[derive(Clone, Debug, Default)]
struct Node {
    lag: usize,
    lies: bool,
    stalls: bool,
    limits: bool,
    on_fork: bool,
    asked: u64,
}

/// All endpoints.
#[derive(Debug)]
pub(super) struct Nodes {
    nodes: Vec<Node>,
    liars: u8,
    dice: Dice,
}

/// What a node tells of ours of a mint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Of {
    pub(super) amount: u64,
    pub(super) is_there: bool,
    pub(super) is_delegated: bool,
}

/// What a node tells of ours, and of which slot.
pub(super) type Told = (u64, [Of; MINTS]);

impl Nodes {
    pub(super) fn new(seed: u64, plan: &Plan) -> Self {
        let nodes = vec![Node::default(); usize::from(plan.nodes)];
        Self { nodes, liars: plan.liars, dice: Dice::new(seed, 3) }
    }

    pub(super) fn count(&self) -> u32 {
        u32::try_from(self.nodes.len()).unwrap_or(u32::MAX)
    }

    /// Moods change. Gives the faults that struck.
    pub(super) fn turn(&mut self, plan: &Plan) -> Vec<Fault> {
        let mut faults = Vec::new();
        let (dice, liars) = (&mut self.dice, usize::from(self.liars));
        for (at, node) in self.nodes.iter_mut().enumerate() {
            let mut strikes = |fault| {
                let struck = dice.chance(plan.rate(fault));
                if struck {
                    faults.push(fault);
                }
                struck
            };
            let lags = strikes(Fault::NodeLags);
            // Always the same few: a minority.
            node.lies = at < liars && strikes(Fault::NodeLies);
            node.stalls = strikes(Fault::NodeStalls);
            node.limits = strikes(Fault::NodeLimits);
            node.on_fork = strikes(Fault::NodeOnFork);
            let most = MOST_BEHIND as u64;
            node.lag = if lags { usize::try_from(dice.below(most)).unwrap_or(0) } else { 0 };
        }
        faults
    }

    /// From here on all are honest and quick.
    pub(super) fn heal(&mut self) {
        self.nodes.fill(Node::default());
        self.liars = 0;
    }

    /// A node to ask; `None` when it gives no answer.
    fn any(&mut self) -> Option<usize> {
        let at = usize::try_from(self.dice.below(self.nodes.len() as u64)).unwrap_or(0);
        self.answers(at).then_some(at)
    }

    fn answers(&mut self, at: usize) -> bool {
        let node = &mut self.nodes[at];
        node.asked += 1;
        !(node.stalls || node.limits && node.asked.is_multiple_of(2))
    }

    fn number(&mut self, truth: u64) -> u64 {
        match self.dice.below(5) {
            0 => truth + self.dice.below(2_000),
            1 => truth.saturating_sub(self.dice.below(2_000)),
            2 => 0,
            3 => u64::MAX - self.dice.below(3),
            _ => truth,
        }
    }

    /// Every node's height that answers.
    pub(super) fn heights(&mut self, chain: &Chain, commitment: Commitment) -> Vec<u64> {
        let mut told = Vec::with_capacity(self.nodes.len());
        for at in 0..self.nodes.len() {
            if !self.answers(at) {
                continue;
            }
            let height = chain.view(commitment, self.nodes[at].lag).height;
            told.push(if self.nodes[at].lies { self.number(height) } else { height });
        }
        told
    }

    fn lie(&mut self, chain: &Chain) -> Option<(Status, Landing)> {
        if self.dice.chance(400) {
            return None;
        }
        let tip = chain.slot;
        let slot = Slot::new(tip.saturating_sub(self.dice.below(60)));
        let commitments = [Commitment::Processed, Commitment::Confirmed, Commitment::Finalized];
        let commitment = commitments[usize::try_from(self.dice.below(3)).unwrap_or(0)];
        let fee = Lamports::new(5_000 + self.dice.below(3_000));
        let landing = if self.dice.chance(300) {
            Landing::Reverted { slot, fee, code: Some(6_005) }
        } else {
            let paid = -self.dice.between(1, 40_000_000);
            let got = self.dice.between(1, 1_000_000_000);
            let deltas = [(MintId(1), paid), (MintId(2), got)].into_iter().collect();
            Landing::Filled { slot, deltas, fee, rent: Lamports::ZERO }
        };
        Some((Status { commitment, slot, failed: landing.failed() }, landing))
    }

    fn seen(&mut self, chain: &Chain, at: usize, name: &Signature) -> Option<(Status, Landing)> {
        if self.nodes[at].lies {
            return self.lie(chain);
        }
        chain.landing(name, self.nodes[at].lag, self.nodes[at].on_fork)
    }

    /// How far bytes have come, by one node's word, or by the furthest of all; `None` for no answer.
    pub(super) fn status(
        &mut self,
        chain: &Chain,
        name: &Signature,
        everyone: bool,
    ) -> Option<Option<Status>> {
        if !everyone {
            let at = self.any()?;
            return Some(self.seen(chain, at, name).map(|(status, _)| status));
        }
        let mut furthest: Option<Option<Status>> = None;
        for at in 0..self.nodes.len() {
            if self.answers(at) {
                let seen = self.seen(chain, at, name).map(|(status, _)| status);
                let known = furthest.flatten();
                let better = seen.map(|s| s.commitment) > known.map(|s| s.commitment);
                furthest = Some(if better { seen } else { known });
            }
        }
        furthest
    }

    /// What bytes did, at confirmed or better, by one node's word; `None` for no answer.
    pub(super) fn read(&mut self, chain: &Chain, name: &Signature) -> Option<Option<Landing>> {
        let at = self.any()?;
        let seen = self.seen(chain, at, name);
        let seen = seen.filter(|(status, _)| status.commitment >= Commitment::Confirmed);
        Some(seen.map(|(_, landing)| landing))
    }

    /// What each node swears to.
    pub(super) fn words(&mut self, chain: &Chain, name: &Signature) -> Vec<Word> {
        let mut words = Vec::with_capacity(self.nodes.len());
        for (voter, at) in (0_u8..).zip(0..self.nodes.len()) {
            if !self.answers(at) {
                continue;
            }
            let rooted = chain.view(Commitment::Finalized, self.nodes[at].lag);
            let (mut height, mut slot) = (rooted.height, rooted.slot);
            if self.nodes[at].lies {
                (height, slot) = (self.number(height), self.number(slot));
            }
            let knows = match self.seen(chain, at, name) {
                _ if self.dice.chance(20) => Knows::Stale,
                None => Knows::Nothing,
                Some((status, landing)) => {
                    let is_final = status.commitment == Commitment::Finalized;
                    // Some keep no transactions.
                    let landing = Some(landing).filter(|_| is_final && !self.dice.chance(50));
                    Knows::Seen { status, landing }
                }
            };
            let (height, slot) = (BlockHeight::new(height), Slot::new(slot));
            words.push(Word { voter, height, slot, knows });
        }
        words
    }

    /// A blockhash by one node's word: the last height it is good for.
    pub(super) fn blockhash(&mut self, chain: &Chain, life: u64) -> Option<(u64, u64)> {
        let at = self.any()?;
        let height = chain.view(Commitment::Confirmed, self.nodes[at].lag).height;
        let truth = height + life;
        Some((if self.nodes[at].lies { self.number(truth) } else { truth }, truth))
    }

    /// Our balances, each node's own.
    pub(super) fn balances(&mut self, chain: &Chain) -> Vec<Told> {
        let mut told = Vec::with_capacity(self.nodes.len());
        for at in 0..self.nodes.len() {
            if !self.answers(at) {
                continue;
            }
            let slot = chain.view(Commitment::Finalized, self.nodes[at].lag).slot;
            let holdings = chain.holdings(Commitment::Finalized, self.nodes[at].lag);
            let amounts = amounts(holdings);
            let mut ours: [Of; MINTS] = std::array::from_fn(|mint| Of {
                amount: amounts[mint],
                is_there: holdings.has[mint],
                is_delegated: holdings.delegated[mint],
            });
            if self.nodes[at].lies {
                let place = usize::try_from(self.dice.below(MINTS as u64)).unwrap_or(0);
                ours[place].amount = self.number(ours[place].amount);
                ours[place].is_there ^= self.dice.chance(300);
                ours[place].is_delegated ^= self.dice.chance(300);
            }
            told.push((slot, ours));
        }
        told
    }
}

/// What is ours of each mint, native SOL first.
pub(super) fn amounts(holdings: &Holdings) -> [u64; MINTS] {
    let mut amounts = holdings.tokens;
    amounts[0] = holdings.lamports;
    amounts
}
