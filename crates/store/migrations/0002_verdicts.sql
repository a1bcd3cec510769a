-- What the token gate said of a mint, with every reason. Not in the journal, which holds the answer alone: these rows are
-- written once and not rebuilt.

CREATE TABLE verdicts (
    mint TEXT NOT NULL,
    slot ANY NOT NULL CHECK (typeof(slot) <> 'real'),
    at INTEGER NOT NULL,
    safe INTEGER NOT NULL CHECK (safe IN (0, 1)),
    reasons TEXT NOT NULL, -- one a line, empty when nothing spoke against it
    PRIMARY KEY (mint, slot, at)
) STRICT, WITHOUT ROWID;

CREATE INDEX verdicts_by_time ON verdicts (at);
