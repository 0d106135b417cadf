-- Who asked for what, and what became of it: one chain of lines for all replicas of Drover. Drover's own schema; nothing here
-- touches anybody else's. Rows are only ever added.

CREATE TABLE drover.audit (
    -- Counted from 1 without a gap: whoever adds holds the row of drover.audit_head.
    seq  bigint PRIMARY KEY,
    -- The record as JSON, whose last field is the hash of the line before: these bytes are what is hashed.
    line text   NOT NULL,
    -- The SHA-256 of the line.
    hash text   NOT NULL,
    -- The id of the action and which of its two lines it is; each is there once, however often it is sent.
    id   text   NOT NULL,
    phase text  NOT NULL CHECK (phase IN ('intent', 'result')),
    -- When it was asked for, in milliseconds since 1970.
    at   bigint NOT NULL,
    -- The idempotency key (hashed) and what it stands for; on the first of the two lines.
    key    text,
    digest text,
    UNIQUE (id, phase)
);

CREATE INDEX audit_key ON drover.audit (key) WHERE key IS NOT NULL;

-- The last line: locked by whoever adds one, so that the chain is never forked.
CREATE TABLE drover.audit_head (
    one  boolean PRIMARY KEY DEFAULT true CHECK (one),
    seq  bigint NOT NULL,
    hash text   NOT NULL
);

INSERT INTO drover.audit_head (seq, hash) VALUES (0, repeat('0', 64));

-- Replicas of Drover that live: each renews its row. An action whose replica is no more has no result to wait for.
CREATE TABLE drover.replica (
    id      text PRIMARY KEY,
    seen_at timestamptz NOT NULL
);
