//! Every statement that reads or changes rows, in one list that a test and `db optimize` go through.
//!
//! # Design
//!
//! A page begins behind the last row of the one before: the condition compares the whole key of the order, and an index
//! has that key in that order. A first page begins behind the greatest key there can be, so that it is the same
//! statement. So no page is dearer than the first, none skips or repeats a row when others come in, and none scans.

/// What stands for a parameter when a statement is tried on a database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Bind {
    /// The newest run.
    Run,
    /// Beyond every run, time or number.
    Most,
    /// Before every one.
    Least,
    /// The cause of an order in the middle.
    Cause,
    /// Its place.
    Nth,
    /// A strategy that holds something.
    Strategy,
    /// What it holds.
    Mint,
    /// Level of a log line.
    Level,
    /// Rows of a page.
    Limit,
}

/// A statement.
#[derive(Debug)]
pub(super) struct Statement {
    /// What it is for.
    pub name: &'static str,
    /// Its text.
    pub sql: &'static str,
    /// What its parameters are tried with; `None` for one that changes rows, which is never tried.
    pub binds: Option<&'static [Bind]>,
}

/// Declares the statements and their list.
macro_rules! statements {
    ($($(#[$doc:meta])* $id:ident = $name:literal, $binds:expr, $sql:literal;)*) => {
        $($(#[$doc])* pub(super) const $id: &str = $sql;)*

        /// All of them.
        pub(super) const ALL: &[Statement] =
            &[$(Statement { name: $name, sql: $sql, binds: $binds },)*];
    };
}

statements! {
    GENERATIONS = "generations", Some(&[]),
        "SELECT runs, orders, trades, positions, equity, refusals, verdicts, logs FROM generations WHERE id = 1";
    RUNS = "runs", Some(&[Bind::Most, Bind::Limit]),
        "SELECT run_id, version, mode FROM runs WHERE run_id < ? ORDER BY run_id DESC LIMIT ?";
    ORDERS = "orders page", Some(&[Bind::Most, Bind::Most, Bind::Most, Bind::Most, Bind::Limit]),
        "SELECT o.run_id, o.cause, o.nth, o.strategy, s.name, o.mint_in, o.mint_out, o.pools, o.amount_in,
                o.min_out, o.expected_out, o.value_usd, o.reason, o.approved_at, o.status, o.signature,
                o.closed_at, o.slot, o.fee, o.rent, o.detail
         FROM orders AS o LEFT JOIN strategies AS s ON s.run_id = o.run_id AND s.strategy = o.strategy
         WHERE (o.approved_at, o.run_id, o.cause, o.nth) < (?, ?, ?, ?)
         ORDER BY o.approved_at DESC, o.run_id DESC, o.cause DESC, o.nth DESC LIMIT ?";
    FILLS = "fills of an order", Some(&[Bind::Run, Bind::Cause, Bind::Nth]),
        "SELECT mint, delta, slot, at FROM fills WHERE run_id = ? AND cause = ? AND nth = ? ORDER BY mint";
    TRADES = "history page", Some(&[Bind::Most, Bind::Most, Bind::Most, Bind::Most, Bind::Limit]),
        "SELECT t.run_id, t.seq, t.place, t.cause, t.nth, t.strategy, s.name, t.mint, m.symbol, t.amount, t.cost_usd,
                t.proceeds_usd, t.fee_usd, t.profit_usd, t.opened_at, t.closed_at
         FROM trades AS t LEFT JOIN strategies AS s ON s.run_id = t.run_id AND s.strategy = t.strategy
              LEFT JOIN mints AS m ON m.run_id = t.run_id AND m.mint = t.mint
         WHERE (t.closed_at, t.run_id, t.seq, t.place) < (?, ?, ?, ?)
         ORDER BY t.closed_at DESC, t.run_id DESC, t.seq DESC, t.place DESC LIMIT ?";
    DAYS = "profit by day", Some(&[Bind::Most, Bind::Limit]),
        "SELECT day, sum(trades), sum(wins), sum(cost_usd), sum(proceeds_usd), sum(fee_usd), sum(profit_usd)
         FROM daily WHERE day < ? GROUP BY day ORDER BY day DESC LIMIT ?";
    STRATEGIES = "profit by strategy", Some(&[Bind::Run]),
        "SELECT p.strategy, s.name, p.trades, p.wins, p.cost_usd, p.proceeds_usd, p.fee_usd, p.profit_usd
         FROM per_strategy AS p LEFT JOIN strategies AS s ON s.run_id = p.run_id AND s.strategy = p.strategy
         WHERE p.run_id = ? ORDER BY p.strategy";
    TOKENS = "profit by token", Some(&[Bind::Run, Bind::Least, Bind::Limit]),
        "SELECT p.mint, m.symbol, m.address, p.trades, p.wins, p.cost_usd, p.proceeds_usd, p.fee_usd, p.profit_usd
         FROM per_token AS p LEFT JOIN mints AS m ON m.run_id = p.run_id AND m.mint = p.mint
         WHERE p.run_id = ? AND p.mint > ? ORDER BY p.mint LIMIT ?";
    EQUITY = "equity page", Some(&[Bind::Run, Bind::Least, Bind::Limit]),
        "SELECT at, equity_usd, exposure_usd FROM equity WHERE run_id = ? AND at >= ? ORDER BY at LIMIT ?";
    POSITIONS = "open positions", Some(&[Bind::Run]),
        "SELECT p.strategy, s.name, p.mint, m.symbol, p.amount, p.cost_usd, p.opened_at, p.at
         FROM positions AS p LEFT JOIN strategies AS s ON s.run_id = p.run_id AND s.strategy = p.strategy
              LEFT JOIN mints AS m ON m.run_id = p.run_id AND m.mint = p.mint
         WHERE p.run_id = ? AND p.amount <> 0 ORDER BY p.strategy, p.mint";
    POSITION = "position look-up", Some(&[Bind::Run, Bind::Strategy, Bind::Mint]),
        "SELECT p.strategy, s.name, p.mint, m.symbol, p.amount, p.cost_usd, p.opened_at, p.at
         FROM positions AS p LEFT JOIN strategies AS s ON s.run_id = p.run_id AND s.strategy = p.strategy
              LEFT JOIN mints AS m ON m.run_id = p.run_id AND m.mint = p.mint
         WHERE p.run_id = ? AND p.strategy = ? AND p.mint = ?";
    REFUSALS = "refusals of a run", Some(&[Bind::Run]),
        "SELECT strategy, reason, count, last_at FROM refusals WHERE run_id = ? ORDER BY strategy, reason";
    VERDICTS = "verdicts page", Some(&[Bind::Most, Bind::Most, Bind::Most, Bind::Limit]),
        "SELECT mint, slot, at, safe, reasons FROM verdicts WHERE (at, slot, mint) < (?, ?, ?)
         ORDER BY at DESC, slot DESC, mint DESC LIMIT ?";
    LOGS = "log page", Some(&[Bind::Most, Bind::Limit]),
        "SELECT id, at, level, target, text FROM logs WHERE id < ? ORDER BY id DESC LIMIT ?";
    LOGS_OF_LEVEL = "log page of a level", Some(&[Bind::Level, Bind::Most, Bind::Limit]),
        "SELECT id, at, level, target, text FROM logs WHERE level = ? AND id < ? ORDER BY id DESC LIMIT ?";

    PUT_RUN = "put a run", None, "INSERT OR REPLACE INTO runs VALUES (?, ?, ?)";
    PUT_STRATEGY = "put a strategy", None, "INSERT OR REPLACE INTO strategies VALUES (?, ?, ?)";
    PUT_MINT = "put a mint", None, "INSERT OR REPLACE INTO mints VALUES (?, ?, ?, ?, ?, ?)";
    PUT_ORDER = "put an order", None,
        "INSERT INTO orders (run_id, cause, nth, strategy, mint_in, mint_out, pools, amount_in, min_out, expected_out,
                             fee_cap, value_usd, reason, approved_at, expires_at, status)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 'submitted')
         ON CONFLICT DO NOTHING";
    // An order that was closed before, as in a replay, stays so.
    SIGN_ORDER = "sign an order", None,
        "UPDATE orders SET status = 'signed', signature = ?, last_valid = ?
         WHERE run_id = ? AND cause = ? AND nth = ? AND status IN ('submitted', 'signed')";
    CLOSE_ORDER = "close an order", None,
        "UPDATE orders SET status = ?, signature = coalesce(?, signature), closed_at = ?, slot = ?, fee = ?, rent = ?,
                           detail = ?
         WHERE run_id = ? AND cause = ? AND nth = ?";
    PUT_FILL = "put a fill", None, "INSERT OR REPLACE INTO fills VALUES (?, ?, ?, ?, ?, ?, ?)";
    REOPEN_ORDER = "take an order's end back", None,
        "UPDATE orders SET status = 'signed', closed_at = NULL, slot = NULL, fee = NULL, rent = NULL, detail = NULL
         WHERE run_id = ? AND cause = ? AND nth = ?";
    DROP_FILLS = "take fills back", None, "DELETE FROM fills WHERE run_id = ? AND cause = ? AND nth = ?";
    DROP_TRADES = "take trades back", None,
        "DELETE FROM trades WHERE +run_id = ? AND cause = ? AND nth = ?
         RETURNING strategy, mint, cost_usd, proceeds_usd, fee_usd, profit_usd, closed_at";
    OLD_TRADE = "a trade before it is put", None,
        "SELECT strategy, mint, cost_usd, proceeds_usd, fee_usd, profit_usd, closed_at FROM trades
         WHERE run_id = ? AND seq = ? AND place = ?";
    PUT_TRADE = "put a trade", None,
        "INSERT OR REPLACE INTO trades VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
    PUT_POSITION = "put a position", None, "INSERT OR REPLACE INTO positions VALUES (?, ?, ?, ?, ?, ?, ?)";
    PUT_EQUITY = "put equity", None, "INSERT OR REPLACE INTO equity VALUES (?, ?, ?, ?)";
    PUT_VERDICT = "put a verdict", None, "INSERT OR REPLACE INTO verdicts VALUES (?, ?, ?, ?, ?)";
    PUT_REFUSALS = "put refusals", None, "INSERT OR REPLACE INTO refusals VALUES (?, ?, ?, ?, ?)";
    PUT_LOG = "put a log line", None, "INSERT INTO logs (at, level, target, text) VALUES (?, ?, ?, ?)";
    // As many rows as [`LOG_LINES`] says.
    PUT_LOGS = "put log lines", None,
        "INSERT INTO logs (at, level, target, text) VALUES
         (?, ?, ?, ?), (?, ?, ?, ?), (?, ?, ?, ?), (?, ?, ?, ?), (?, ?, ?, ?), (?, ?, ?, ?), (?, ?, ?, ?), (?, ?, ?, ?),
         (?, ?, ?, ?), (?, ?, ?, ?), (?, ?, ?, ?), (?, ?, ?, ?), (?, ?, ?, ?), (?, ?, ?, ?), (?, ?, ?, ?), (?, ?, ?, ?),
         (?, ?, ?, ?), (?, ?, ?, ?), (?, ?, ?, ?), (?, ?, ?, ?), (?, ?, ?, ?), (?, ?, ?, ?), (?, ?, ?, ?), (?, ?, ?, ?),
         (?, ?, ?, ?), (?, ?, ?, ?), (?, ?, ?, ?), (?, ?, ?, ?), (?, ?, ?, ?), (?, ?, ?, ?), (?, ?, ?, ?), (?, ?, ?, ?)";
    OLDEST_LOG = "the oldest log line", None, "SELECT min(id) FROM logs";
    DROP_LOGS = "forget old log lines", None, "DELETE FROM logs WHERE id <= ?";
    RAISE = "raise generations", None,
        "UPDATE generations SET runs = runs + ?, orders = orders + ?, trades = trades + ?, positions = positions + ?,
                                equity = equity + ?, refusals = refusals + ?, verdicts = verdicts + ?, logs = logs + ?
         WHERE id = 1";

    OLD_DAY = "a day's sums", None,
        "SELECT trades, wins, cost_usd, proceeds_usd, fee_usd, profit_usd FROM daily WHERE run_id = ? AND day = ?";
    PUT_DAY = "put a day's sums", None, "INSERT OR REPLACE INTO daily VALUES (?, ?, ?, ?, ?, ?, ?, ?)";
    DROP_DAY = "drop a day's sums", None, "DELETE FROM daily WHERE run_id = ? AND day = ?";
    OLD_STRATEGY = "a strategy's sums", None,
        "SELECT trades, wins, cost_usd, proceeds_usd, fee_usd, profit_usd FROM per_strategy
         WHERE run_id = ? AND strategy = ?";
    PUT_STRATEGY_SUMS = "put a strategy's sums", None,
        "INSERT OR REPLACE INTO per_strategy VALUES (?, ?, ?, ?, ?, ?, ?, ?)";
    DROP_STRATEGY_SUMS = "drop a strategy's sums", None, "DELETE FROM per_strategy WHERE run_id = ? AND strategy = ?";
    OLD_TOKEN = "a token's sums", None,
        "SELECT trades, wins, cost_usd, proceeds_usd, fee_usd, profit_usd FROM per_token WHERE run_id = ? AND mint = ?";
    PUT_TOKEN = "put a token's sums", None, "INSERT OR REPLACE INTO per_token VALUES (?, ?, ?, ?, ?, ?, ?, ?)";
    DROP_TOKEN = "drop a token's sums", None, "DELETE FROM per_token WHERE run_id = ? AND mint = ?";

    FORGET_RUN = "forget a run", None, "DELETE FROM runs WHERE run_id = ?";
    FORGET_STRATEGIES = "forget a run's strategies", None, "DELETE FROM strategies WHERE run_id = ?";
    FORGET_MINTS = "forget a run's mints", None, "DELETE FROM mints WHERE run_id = ?";
    FORGET_ORDERS = "forget a run's orders", None, "DELETE FROM orders WHERE run_id = ?";
    FORGET_FILLS = "forget a run's fills", None, "DELETE FROM fills WHERE run_id = ?";
    FORGET_POSITIONS = "forget a run's positions", None, "DELETE FROM positions WHERE run_id = ?";
    FORGET_TRADES = "forget a run's trades", None, "DELETE FROM trades WHERE run_id = ?";
    FORGET_EQUITY = "forget a run's equity", None, "DELETE FROM equity WHERE run_id = ?";
    FORGET_REFUSALS = "forget a run's refusals", None, "DELETE FROM refusals WHERE run_id = ?";
    FORGET_DAYS = "forget a run's days", None, "DELETE FROM daily WHERE run_id = ?";
    FORGET_PER_STRATEGY = "forget a run's sums by strategy", None, "DELETE FROM per_strategy WHERE run_id = ?";
    FORGET_PER_TOKEN = "forget a run's sums by token", None, "DELETE FROM per_token WHERE run_id = ?";
}

/// Rows of [`PUT_LOGS`].
pub(super) const LOG_LINES: usize = 32;

/// What a rebuild of a run begins with.
pub(super) const FORGET: [&str; 12] = [
    FORGET_RUN,
    FORGET_STRATEGIES,
    FORGET_MINTS,
    FORGET_ORDERS,
    FORGET_FILLS,
    FORGET_POSITIONS,
    FORGET_TRADES,
    FORGET_EQUITY,
    FORGET_REFUSALS,
    FORGET_DAYS,
    FORGET_PER_STRATEGY,
    FORGET_PER_TOKEN,
];
