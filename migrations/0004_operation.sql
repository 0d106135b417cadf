-- Actions over many jobs, where replicas of Drover share them: what was asked for, which replica runs it, and how far it is.
-- Drover's own schema; nothing here touches anybody else's. Every moment is by the clock of this server.

CREATE TABLE drover.operation (
    -- Ids sort by when they were asked for.
    id      text    PRIMARY KEY,
    -- What was asked for, as JSON; written once.
    meta    text    NOT NULL,
    -- The ids of its stores.
    stores  text[]  NOT NULL,
    -- The idempotency key (hashed) that it was asked for with.
    key     text    UNIQUE,
    -- How far it is, as JSON, as every replica shows it.
    told    text    NOT NULL,
    open    boolean NOT NULL DEFAULT true,
    -- Counts every change of the row.
    version bigint  NOT NULL DEFAULT 1,
    -- What is wanted of it, and how often somebody has said so.
    wanted  text    NOT NULL DEFAULT 'work' CHECK (wanted IN ('work', 'pause', 'cancel')),
    asked   bigint  NOT NULL DEFAULT 0,
    -- The process that runs it, for as long as it renews this; a new owner has a new fence, and the one before writes no more.
    owner      text,
    fence      bigint NOT NULL DEFAULT 1,
    expires_at timestamptz
);

-- The frozen selection, some thousand jobs in each piece: a JSON array a line. Written once.
CREATE TABLE drover.operation_jobs (
    operation text    NOT NULL REFERENCES drover.operation (id) ON DELETE CASCADE,
    piece     integer NOT NULL,
    jobs      bytea   NOT NULL,
    PRIMARY KEY (operation, piece)
);

-- What happened: lines in the format that src/server/operation/journal.rs opens with.
CREATE TABLE drover.operation_log (
    operation text   NOT NULL REFERENCES drover.operation (id) ON DELETE CASCADE,
    n         bigint GENERATED ALWAYS AS IDENTITY,
    lines     bytea  NOT NULL,
    PRIMARY KEY (operation, n)
);

-- The one operation that works in a store.
CREATE TABLE drover.operation_turn (
    store     text PRIMARY KEY,
    operation text NOT NULL REFERENCES drover.operation (id) ON DELETE CASCADE
);
