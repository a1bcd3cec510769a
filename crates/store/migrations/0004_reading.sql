-- For reading at any size: every question of the program finds its rows by an index that also has them in order.

-- Without the run: the planner would take the primary key, and go through all trades of a run.
CREATE INDEX trades_by_order ON trades (cause, nth);

-- A run keeps a row for all it ever held; few are open. With all that is read, or the primary key would be taken.
CREATE INDEX positions_open ON positions (run_id, strategy, mint, amount, cost_usd, opened_at, at) WHERE amount <> 0;

DROP INDEX verdicts_by_time;
CREATE INDEX verdicts_by_time ON verdicts (at, slot, mint);

-- Sums of trades, kept by the writer in the transaction that changes these. A day is counted from the Unix epoch, in UTC,
-- and is that in which the position was reduced. A trade wins when its profit is above zero.
CREATE TABLE daily (
    run_id INTEGER NOT NULL,
    day INTEGER NOT NULL,
    trades INTEGER NOT NULL CHECK (trades > 0),
    wins INTEGER NOT NULL CHECK (wins BETWEEN 0 AND trades),
    cost_usd INTEGER NOT NULL,
    proceeds_usd INTEGER NOT NULL,
    fee_usd INTEGER NOT NULL,
    profit_usd INTEGER NOT NULL,
    PRIMARY KEY (run_id, day)
) STRICT, WITHOUT ROWID;

CREATE INDEX daily_by_day ON daily (day);

CREATE TABLE per_strategy (
    run_id INTEGER NOT NULL,
    strategy INTEGER NOT NULL,
    trades INTEGER NOT NULL CHECK (trades > 0),
    wins INTEGER NOT NULL CHECK (wins BETWEEN 0 AND trades),
    cost_usd INTEGER NOT NULL,
    proceeds_usd INTEGER NOT NULL,
    fee_usd INTEGER NOT NULL,
    profit_usd INTEGER NOT NULL,
    PRIMARY KEY (run_id, strategy)
) STRICT, WITHOUT ROWID;

CREATE TABLE per_token (
    run_id INTEGER NOT NULL,
    mint INTEGER NOT NULL,
    trades INTEGER NOT NULL CHECK (trades > 0),
    wins INTEGER NOT NULL CHECK (wins BETWEEN 0 AND trades),
    cost_usd INTEGER NOT NULL,
    proceeds_usd INTEGER NOT NULL,
    fee_usd INTEGER NOT NULL,
    profit_usd INTEGER NOT NULL,
    PRIMARY KEY (run_id, mint)
) STRICT, WITHOUT ROWID;

INSERT INTO daily
SELECT run_id, (closed_at - (closed_at % 86400000000 + 86400000000) % 86400000000) / 86400000000 AS day,
       count(*), sum(profit_usd > 0), sum(cost_usd), sum(proceeds_usd), sum(fee_usd), sum(profit_usd)
FROM trades GROUP BY run_id, day;

INSERT INTO per_strategy
SELECT run_id, strategy, count(*), sum(profit_usd > 0), sum(cost_usd), sum(proceeds_usd), sum(fee_usd), sum(profit_usd)
FROM trades GROUP BY run_id, strategy;

INSERT INTO per_token
SELECT run_id, mint, count(*), sum(profit_usd > 0), sum(cost_usd), sum(proceeds_usd), sum(fee_usd), sum(profit_usd)
FROM trades GROUP BY run_id, mint;

-- How often each kind of row has changed: each transaction of the writer raises what it touched, so that whoever keeps
-- answers knows which still hold.
CREATE TABLE generations (
    id INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
    runs INTEGER NOT NULL, -- with strategies and mints
    orders INTEGER NOT NULL, -- with fills
    trades INTEGER NOT NULL, -- with their sums
    positions INTEGER NOT NULL,
    equity INTEGER NOT NULL,
    refusals INTEGER NOT NULL,
    verdicts INTEGER NOT NULL,
    logs INTEGER NOT NULL
) STRICT;

INSERT INTO generations VALUES (1, 0, 0, 0, 0, 0, 0, 0, 0);

-- The last lines of the log, numbered as they came. Not in the journal, and not rebuilt.
CREATE TABLE logs (
    id INTEGER NOT NULL PRIMARY KEY,
    at INTEGER NOT NULL,
    level INTEGER NOT NULL CHECK (level BETWEEN 1 AND 5), -- error, warn, info, debug, trace
    target TEXT NOT NULL,
    text TEXT NOT NULL
) STRICT;

CREATE INDEX logs_by_level ON logs (level);
