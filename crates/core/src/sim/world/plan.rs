//! What goes wrong in a world, and how often.

use super::dice::Dice;

macro_rules! faults {
    ($($(#[$doc:meta])* $fault:ident = $name:literal, $rate:literal;)*) => {
        /// A way for the world to go wrong.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Fault { $($(#[$doc])* $fault,)* }

        impl Fault {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$fault,)*];

            /// The name in reports and on the command line.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$fault => $name,)* }
            }

            /// How often it happens where it may, in a thousand, before a world makes it rarer or more common.
            const fn rate(self) -> u32 {
                match self { $(Self::$fault => $rate,)* }
            }
        }
    };
}

faults! {
    /// Blocks that were confirmed are abandoned with all that is in them.
    Fork = "fork", 15;
    /// A leader makes no block.
    SkippedSlot = "skipped_slot", 50;
    /// The chain stands still for seconds.
    ChainStall = "chain_stall", 3;
    /// A transaction that was sent reaches no leader.
    DroppedTransaction = "dropped_transaction", 300;
    /// It reaches one late.
    DelayedTransaction = "delayed_transaction", 300;
    /// Leaders leave out most of what has reached them.
    Congestion = "congestion", 20;
    /// Leaders take only those who pay more than we do.
    FeeMarket = "fee_market", 15;
    /// A node is slots behind.
    NodeLags = "node_lags", 200;
    /// A node says what is not so.
    NodeLies = "node_lies", 500;
    /// A node does not answer.
    NodeStalls = "node_stalls", 80;
    /// A node refuses every other question.
    NodeLimits = "node_limits", 80;
    /// A node follows a fork that was abandoned.
    NodeOnFork = "node_on_fork", 300;
    /// An answer is lost on its way.
    LostAnswer = "lost_answer", 60;
    /// An answer comes seconds late.
    LateAnswer = "late_answer", 60;
    /// An answer comes twice.
    AnswerTwice = "answer_twice", 60;
    /// A notice of a subscription comes before anybody has asked.
    Notice = "notice", 200;
    /// The feed has a gap.
    FeedGap = "feed_gap", 8;
    /// A notice of the feed is lost and nobody tells.
    FeedLoses = "feed_loses", 15;
    /// It comes twice.
    FeedTwice = "feed_twice", 40;
    /// It comes after a later one.
    FeedDisorder = "feed_disorder", 40;
    /// An independent price is absurd.
    AbsurdPrice = "absurd_price", 60;
    /// No independent price comes for a while.
    NoPrice = "no_price", 60;
    /// The power fails: what was written and not synced is gone, in part or whole.
    PowerFails = "power_fails", 3;
    /// What was being written when it failed is there in pieces.
    TornWrite = "torn_write", 500;
    /// A bit of it is flipped.
    FlippedBit = "flipped_bit", 150;
    /// A bit of a record that was durable is flipped.
    Rot = "rot", 20;
    /// The disk is full.
    DiskFull = "disk_full", 4;
    /// A sync fails.
    SyncFails = "sync_fails", 20;
    /// The process dies, at any step.
    Crash = "crash", 8;
    /// It dies while it starts.
    CrashInStart = "crash_in_start", 250;
    /// The clock leaps or is set back.
    ClockJumps = "clock_jumps", 8;
    /// A strategy panics.
    StrategyPanics = "strategy_panics", 2;
    /// A strategy wants everything at once.
    StrategySpams = "strategy_spams", 300;
    /// A strategy has stopped wanting anything.
    StrategyStalls = "strategy_stalls", 150;
    /// An operator pauses and resumes.
    Pause = "pause", 8;
    /// An operator allows exits alone.
    ReduceOnly = "reduce_only", 8;
    /// An operator engages the kill latch.
    Kill = "kill", 2;
    /// An operator changes the limits.
    NewLimits = "new_limits", 60;
    /// Somebody sends us something.
    Gift = "gift", 10;
    /// Somebody takes something of ours.
    Theft = "theft", 1;
    /// Somebody closes an empty token account of ours; its rent comes back.
    AccountClosed = "account_closed", 8;
    /// A token account of ours is in the hands of somebody else as well.
    Delegated = "delegated", 1;
}

/// The first fault that came after worlds had their luck: what they draw for it changes none of that.
const LATER: usize = Fault::Gift as usize;

/// What may go wrong in one world.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    rates: Vec<u32>,
    /// Slots from the tip that are not final.
    pub(super) unrooted: u64,
    /// Blocks that a transaction can land in.
    pub(super) life: u64,
    pub(super) nodes: u8,
    pub(super) liars: u8,
    /// How long there is trouble, in microseconds.
    pub(super) trouble: i64,
}

impl Plan {
    /// Not everything goes wrong in every world: what is rare shows where something else is quiet.
    pub(super) fn draw(seed: u64, without: &[Fault], until: Option<i64>) -> Self {
        let mut dice = Dice::new(seed, 1);
        let calm = dice.chance(30);
        let mut later = Dice::new(seed, 7);
        let rates = Fault::ALL.iter().map(|fault| {
            let dice = if (*fault as usize) < LATER { &mut dice } else { &mut later };
            let (on, scale) = (dice.chance(550), 1 + dice.below(4));
            let rate = u64::from(fault.rate()) * scale / 2;
            let rate = u32::try_from(rate.min(900)).unwrap_or(0);
            if on && !calm && !without.contains(fault) { rate } else { 0 }
        });
        let rates: Vec<u32> = rates.collect();
        let nodes = 1 + u8::try_from(dice.below(5)).unwrap_or(0);
        let liars = u8::try_from(dice.below(u64::from(nodes.div_ceil(2)))).unwrap_or(0);
        let unrooted = 8 + dice.below(25);
        let life = unrooted + 10 + dice.below(100);
        let trouble = 1_000_000 * dice.between(40, 160);
        let trouble = until.map_or(trouble, |until| until.min(trouble));
        Self { rates, unrooted, life, nodes, liars, trouble }
    }

    /// How often, in a thousand.
    pub(super) fn rate(&self, fault: Fault) -> u32 {
        Fault::ALL.iter().position(|known| *known == fault).map_or(0, |at| self.rates[at])
    }

    /// From here on nothing more goes wrong.
    pub(super) fn heal(&mut self) {
        self.rates.fill(0);
    }
}
