-- Two roles for the Postgres that holds Drover's own schema: drover_owner makes the schema and brings it up to date, drover
-- is who the running server is. That one adds to the audit log and never changes it, and can make or change no table.
--
--   1. Run this as a superuser in the database:          psql -v ON_ERROR_STOP=1 -f roles.sql
--   2. As drover_owner, make the schema:                 DROVER_POSTGRES_URL=postgres://drover_owner:…@host/db drover migrate
--   3. Run this again: now it grants what the tables need. Repeat 2 and 3 after each upgrade of Drover.
--   4. Start the server as drover, with DROVER_ARCHIVE_MIGRATE=false.
--
-- Change both passwords first, or leave PASSWORD away and let pg_hba.conf say how they get in.
-- What a role needs in the schema of pg-boss: docs/pg-boss.md, "What the role needs".

DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'drover_owner') THEN
        CREATE ROLE drover_owner LOGIN NOINHERIT PASSWORD 'change-me-owner';
    END IF;
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'drover') THEN
        CREATE ROLE drover LOGIN PASSWORD 'change-me';
    END IF;
END
$$;

CREATE SCHEMA IF NOT EXISTS drover AUTHORIZATION drover_owner;
GRANT USAGE ON SCHEMA drover TO drover;
-- Before Postgres 15 every role may create tables in public. If other roles rely on that, leave this line out.
REVOKE CREATE ON SCHEMA public FROM PUBLIC;

DO $$
DECLARE
    name text;
BEGIN
    IF to_regclass('drover.audit') IS NULL THEN
        RAISE NOTICE 'run drover migrate as drover_owner, then this once more';
        RETURN;
    END IF;
    -- Anew each time, so that nothing stays from an older version of this file.
    REVOKE ALL ON ALL TABLES IN SCHEMA drover FROM drover;
    GRANT SELECT ON ALL TABLES IN SCHEMA drover TO drover;
    -- The audit log: lines are added, each holds on to the one before, and only the head moves.
    GRANT INSERT ON drover.audit TO drover;
    GRANT UPDATE ON drover.audit_head TO drover;
    -- The archive: rows are added, and removed when they are older than [[archive.keep]] says. A row is locked before it is
    -- removed, which takes the right to change a column; nothing that is kept of a job can be changed.
    GRANT INSERT, DELETE, UPDATE (archived_at) ON drover.archive TO drover;
    -- What Drover works with: operations, policies, notes about what was put back, replicas, numbers of charts.
    FOR name IN
        SELECT c.oid::regclass::text FROM pg_class c
        WHERE c.relnamespace = 'drover'::regnamespace AND c.relkind = 'r' AND NOT c.relispartition
            AND c.relname NOT IN ('audit', 'audit_head', '_sqlx_migrations')
    LOOP
        EXECUTE 'GRANT INSERT, UPDATE, DELETE ON ' || name || ' TO drover';
    END LOOP;
END
$$;
