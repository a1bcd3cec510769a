-- What people and reports read. Rebuilt from the journal at will; the journal is the truth.
--
-- Money and other unsigned 64-bit numbers are exact: an INTEGER where it fits, else TEXT of 20 digits (which sorts
-- after every INTEGER, and among its like by value). Such columns are ANY, and never REAL. Dollars are signed
-- millionths; times are microseconds since the Unix epoch; an order is named by the event that caused it and its
-- place among that event's orders.

CREATE TABLE runs (
    run_id INTEGER NOT NULL PRIMARY KEY,
    version TEXT NOT NULL,
    mode TEXT NOT NULL
) STRICT;

CREATE TABLE strategies (
    run_id INTEGER NOT NULL,
    strategy INTEGER NOT NULL,
    name TEXT NOT NULL,
    PRIMARY KEY (run_id, strategy)
) STRICT, WITHOUT ROWID;

CREATE TABLE mints (
    run_id INTEGER NOT NULL,
    mint INTEGER NOT NULL,
    address TEXT NOT NULL,
    symbol TEXT NOT NULL,
    decimals INTEGER NOT NULL,
    is_usd INTEGER NOT NULL,
    PRIMARY KEY (run_id, mint)
) STRICT, WITHOUT ROWID;

CREATE TABLE orders (
    run_id INTEGER NOT NULL,
    cause ANY NOT NULL CHECK (typeof(cause) <> 'real'),
    nth INTEGER NOT NULL,
    strategy INTEGER NOT NULL,
    mint_in INTEGER NOT NULL,
    mint_out INTEGER NOT NULL,
    pools TEXT NOT NULL, -- in order, separated by spaces
    amount_in ANY NOT NULL CHECK (typeof(amount_in) <> 'real'),
    min_out ANY NOT NULL CHECK (typeof(min_out) <> 'real'),
    expected_out ANY NOT NULL CHECK (typeof(expected_out) <> 'real'),
    fee_cap ANY NOT NULL CHECK (typeof(fee_cap) <> 'real'),
    value_usd INTEGER NOT NULL,
    reason TEXT NOT NULL,
    approved_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    status TEXT NOT NULL CHECK (
        status IN ('submitted', 'signed', 'filled', 'reverted', 'expired', 'rejected')
    ),
    signature TEXT,
    last_valid ANY CHECK (typeof(last_valid) <> 'real'),
    closed_at INTEGER,
    slot ANY CHECK (typeof(slot) <> 'real'),
    fee ANY CHECK (typeof(fee) <> 'real'),
    detail TEXT, -- error code of a revert, or why it was rejected
    PRIMARY KEY (run_id, cause, nth)
) STRICT, WITHOUT ROWID;

CREATE INDEX orders_by_time ON orders (approved_at);

CREATE TABLE fills (
    run_id INTEGER NOT NULL,
    cause ANY NOT NULL CHECK (typeof(cause) <> 'real'),
    nth INTEGER NOT NULL,
    mint INTEGER NOT NULL,
    delta INTEGER NOT NULL,
    slot ANY NOT NULL CHECK (typeof(slot) <> 'real'),
    at INTEGER NOT NULL,
    PRIMARY KEY (run_id, cause, nth, mint)
) STRICT, WITHOUT ROWID;

CREATE TABLE positions (
    run_id INTEGER NOT NULL,
    strategy INTEGER NOT NULL,
    mint INTEGER NOT NULL,
    amount ANY NOT NULL CHECK (typeof(amount) <> 'real'),
    cost_usd INTEGER NOT NULL,
    opened_at INTEGER NOT NULL,
    at INTEGER NOT NULL,
    PRIMARY KEY (run_id, strategy, mint)
) STRICT, WITHOUT ROWID;

CREATE TABLE trades (
    run_id INTEGER NOT NULL,
    seq ANY NOT NULL CHECK (typeof(seq) <> 'real'), -- the event that closed it
    place INTEGER NOT NULL, -- among the effects of that event
    cause ANY NOT NULL CHECK (typeof(cause) <> 'real'),
    nth INTEGER NOT NULL,
    strategy INTEGER NOT NULL,
    mint INTEGER NOT NULL,
    amount ANY NOT NULL CHECK (typeof(amount) <> 'real'),
    cost_usd INTEGER NOT NULL,
    proceeds_usd INTEGER NOT NULL,
    fee_usd INTEGER NOT NULL,
    profit_usd INTEGER NOT NULL,
    opened_at INTEGER NOT NULL,
    closed_at INTEGER NOT NULL,
    PRIMARY KEY (run_id, seq, place)
) STRICT, WITHOUT ROWID;

CREATE INDEX trades_by_time ON trades (closed_at);

CREATE TABLE equity (
    run_id INTEGER NOT NULL,
    at INTEGER NOT NULL,
    equity_usd INTEGER NOT NULL,
    exposure_usd INTEGER NOT NULL,
    PRIMARY KEY (run_id, at)
) STRICT, WITHOUT ROWID;

CREATE TABLE refusals (
    run_id INTEGER NOT NULL,
    strategy INTEGER NOT NULL,
    reason TEXT NOT NULL,
    count ANY NOT NULL CHECK (typeof(count) <> 'real'),
    last_at INTEGER NOT NULL,
    PRIMARY KEY (run_id, strategy, reason)
) STRICT, WITHOUT ROWID;
