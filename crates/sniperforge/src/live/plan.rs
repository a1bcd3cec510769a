//! What a run is made of, whoever asks for it.

use std::path::PathBuf;
use std::time::Duration;

use sniper_core::engine::EngineConfig;
use sniper_core::gate::Policy;
use sniper_core::ids::Address;
use sniper_core::launch::Program;
use sniper_core::sim::SimSettings;
use sniper_core::strategy::StrategyKind;
use sniper_core::units::{Lamports, Usd};
use sniper_solana::fees::Urgency;
use sniper_solana::rpc::PoolSettings;
use sniper_store::journal::Bounds;
use sniper_store::tables::StoreOptions;
use sniper_wallet::LocalSigner;
use tokio::sync::{mpsc, oneshot};

use super::endpoints::{Share, Wanted};
use super::judge::Judge;
use super::lookup::Lookups;
use super::scout::{self, Find};
use super::universe::Universe;
use crate::config::{Jito, Jupiter, Performance, Prices, Tuning};
use crate::dashboard;
use crate::telemetry::{LogRing, RunMode};

/// Everything a run is made of, whoever asked for it.
pub(super) struct Plan {
    pub(super) mode: &'static str,
    pub(super) run_mode: RunMode,
    pub(super) engine: EngineConfig,
    /// How urgent an ordinary order is; without it orders bid what they carry.
    pub(super) priority: Option<Urgency>,
    pub(super) endpoints: Wanted,
    pub(super) pool: PoolSettings,
    pub(super) universe: Universe,
    pub(super) lookups: Lookups,
    /// What the token gate accepts of mints that nobody vouches for.
    pub(super) gate: Policy,
    pub(super) prices: Prices,
    /// Who may build swaps for us, if anybody.
    pub(super) jupiter: Option<Jupiter>,
    /// Who else takes our transactions, if anybody. Their tip stands in the engine's limits.
    pub(super) jito: Option<Jito>,
    /// Whose new pools are looked at, if any.
    pub(super) launches: Option<Launches>,
    pub(super) folder: PathBuf,
    pub(super) journal: Bounds,
    /// How often ledger and chain are compared.
    pub(super) compare: Duration,
    pub(super) latch: PathBuf,
    pub(super) page: Option<dashboard::Options>,
    pub(super) run_for: Option<Duration>,
    pub(super) log: Option<LogRing>,
    /// How many of its lines the tables keep.
    pub(super) log_lines: u64,
    /// How the parts are set up.
    pub(super) tuning: Tuning,
    pub(super) performance: Performance,
    /// Where the metrics file is, below.
    pub(super) performance_folder: PathBuf,
    /// Told once it trades.
    pub(super) trades: Option<oneshot::Sender<()>>,
}

impl Plan {
    /// How the tables are set up.
    pub(super) const fn tables(&self) -> StoreOptions {
        self.tuning.tables(self.log_lines)
    }

    /// What trading has of each endpoint's budget: all but what looking at new pools takes.
    pub(super) fn trading_share(&self) -> Share {
        self.launches.as_ref().map(|_| (3, 4))
    }
}

/// What looking at new pools has of it.
const LAUNCH_SHARE: Share = Some((1, 4));

/// New pools that are looked at.
#[derive(Clone, Debug)]
pub(super) struct Launches {
    programs: Vec<Program>,
    /// Slots after a launch in which a coin is bought.
    pub(super) window: u64,
}

impl Launches {
    /// Those of `programs`, where a strategy of `engine` wants any.
    pub(super) fn of(engine: &EngineConfig, programs: Vec<Program>) -> Option<Self> {
        let windows = engine.strategies.iter().filter_map(|enrolled| match &enrolled.kind {
            StrategyKind::NewPool(params) => Some(u64::from(params.launch_slots)),
            _ => None,
        });
        let window = windows.max().filter(|_| !programs.is_empty())?;
        Some(Self { programs, window })
    }

    /// Looks at them on a thread of its own, with a quarter of each endpoint's budget.
    pub(super) fn start(
        &self,
        plan: &Plan,
        judge: Judge,
        finds: mpsc::Sender<Find>,
    ) -> anyhow::Result<()> {
        scout::start(scout::Orders {
            endpoints: plan.endpoints.list(LAUNCH_SHARE),
            wanted: plan.endpoints.subscribe(),
            share: LAUNCH_SHARE,
            settings: plan.pool,
            programs: self.programs.clone(),
            judge,
            finds,
        })
        // It ends by itself when nobody takes finds any more, and holds nothing that must be closed.
        .map(drop)
    }
}

/// Whose money.
pub(super) enum Money {
    /// Nobody's: opening lamports and dollars, and how the simulated venue behaves.
    Paper { lamports: Lamports, cash: Usd, sim: SimSettings, owner: Address },
    /// That of a key.
    Chain(LocalSigner),
}

impl Money {
    /// Whose journal it makes: nobody's on paper, whoever's transactions are built.
    pub(super) fn key(&self) -> Address {
        match self {
            Self::Paper { .. } => Address::default(),
            Self::Chain(signer) => sniper_wallet::Signer::address(signer),
        }
    }
}
