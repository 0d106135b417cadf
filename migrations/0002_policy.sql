-- Policies of the archive: whose turn each is, and what its runs did. Drover's own schema; nothing here touches anybody else's.
--
-- Every moment is by the clock of this server, which is the same for all replicas of Drover.

CREATE TABLE drover.policy (
    policy      text PRIMARY KEY,
    -- What falls due when; another timetable counts from the moment it was first seen.
    timetable   text NOT NULL,
    since       bigint NOT NULL,
    -- The moment of the timetable that was begun last, in milliseconds since 1970.
    last_due    bigint,
    -- The process that runs it, for as long as it renews this.
    owner       text,
    expires_at  timestamptz,
    -- What all its runs did, those whose rows are gone included.
    freed_jobs  bigint NOT NULL DEFAULT 0,
    freed_bytes bigint NOT NULL DEFAULT 0
);

CREATE TABLE drover.policy_run (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    policy     text NOT NULL,
    -- The moment of the timetable; null for a run that somebody asked for.
    due        bigint,
    owner      text NOT NULL,
    started_at timestamptz NOT NULL DEFAULT now(),
    ended_at   timestamptz,
    -- Null while it runs.
    outcome    text CHECK (outcome IN ('ok', 'failed', 'cancelled')),
    -- The id of its operation, on the replica that ran it; null where there was nothing to archive.
    operation  text,
    selected   bigint NOT NULL DEFAULT 0,
    archived   bigint NOT NULL DEFAULT 0,
    changed    bigint NOT NULL DEFAULT 0,
    failed     bigint NOT NULL DEFAULT 0,
    -- Bytes of the jobs that were removed from their queues.
    bytes      bigint NOT NULL DEFAULT 0,
    note       text NOT NULL DEFAULT ''
);

CREATE INDEX policy_run_policy ON drover.policy_run (policy, id);
