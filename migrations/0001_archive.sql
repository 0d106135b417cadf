-- The archive: finished jobs, every byte of them. Drover's own schema; nothing here touches anybody else's.
--
-- Statements name the schema in full; sqlx keeps its list of migrations in it too.

CREATE TABLE drover.archive (
    -- When the job finished, in milliseconds since 1970, as its record says: with the id the identity of this run of it.
    finished_on  bigint  NOT NULL,
    -- The first 16 bytes of the SHA-256 of store, queue, job id, finished_on and attempts: see server::archive::record.
    id           bytea   NOT NULL,
    store        text    NOT NULL,
    system       text    NOT NULL,
    -- Ids and names as text that loses nothing: a byte that is no text is one character from U+10FF00 on.
    queue        text    NOT NULL,
    job_id       text    NOT NULL,
    name         text    NOT NULL,
    state        text    NOT NULL CHECK (state IN ('completed', 'failed')),
    attempts     bigint  NOT NULL,
    created_on   bigint,
    processed_on bigint,
    -- The first line of the last error, cut.
    error        text,
    -- The beginning of the data, for searching; what is no text is replaced.
    data         text    NOT NULL,
    -- Bytes of the record.
    size         bigint  NOT NULL,
    -- The truth: every field, every line of the log. Its format is described at server::archive::record.
    record       bytea   NOT NULL,
    -- The SHA-256 of the record.
    sha256       bytea   NOT NULL CHECK (length(sha256) = 32),
    archived_at  timestamptz NOT NULL DEFAULT now(),
    -- The time first: lists are read by it, and a unique key of a partitioned table holds what it is partitioned by. The
    -- id holds the time too, so that no job is in two partitions.
    PRIMARY KEY (finished_on, id)
) PARTITION BY RANGE (finished_on);

-- For months that have no partition of their own, and for times that no calendar knows.
CREATE TABLE drover.archive_rest PARTITION OF drover.archive DEFAULT;

-- Ids and names have no length of their own; what an index holds has.
CREATE INDEX archive_queue ON drover.archive (left(queue, 100), finished_on, id);
CREATE INDEX archive_job ON drover.archive (left(job_id, 100));

-- Jobs that were put back. A row is written before the job is added, so that a kill in between adds no second one.
CREATE TABLE drover.restore (
    finished_on bigint NOT NULL,
    id          bytea  NOT NULL,
    -- The first time it was put back is 1.
    n           integer NOT NULL,
    store       text   NOT NULL,
    queue       text   NOT NULL,
    -- The id it is given there.
    job_id      text   NOT NULL,
    who         text   NOT NULL,
    asked_at    timestamptz NOT NULL DEFAULT now(),
    -- When the store said that it is there; null while that is not known.
    done_at     timestamptz,
    PRIMARY KEY (finished_on, id, n)
);
