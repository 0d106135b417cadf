-- A role that owns the table of jobs of pg-boss and that no user signs in as, so that Drover can pause queues without being a
-- superuser. For an installation whose tables belong to one; pg-boss goes on as the role that it is.
--
-- Change the three names if yours are others, and run this as a superuser in the database of pg-boss:
--     psql -v ON_ERROR_STOP=1 -f pgboss_owner.sql
-- Drover's other rights are in docs/pg-boss.md, "What the role needs".

DO $$
DECLARE
    installation text := 'pgboss';
    owner text := 'pgboss_owner';
    drover text := 'drover';
    jobs regclass := format('%I.job', installation)::regclass;
    maker regrole := (SELECT relowner FROM pg_class WHERE oid = jobs);
    part regclass;
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = owner) THEN
        EXECUTE format('CREATE ROLE %I NOLOGIN', owner);
    END IF;
    -- A pause makes a table and a function there, and looks which queues there are.
    EXECUTE format('GRANT USAGE, CREATE ON SCHEMA %I TO %I', installation, owner);
    IF to_regclass(format('%I.queue', installation)) IS NOT NULL THEN
        EXECUTE format('GRANT SELECT ON %I.queue TO %I', installation, owner);
    END IF;
    EXECUTE format('ALTER TABLE %s OWNER TO %I', jobs, owner);
    -- A trigger on the jobs is copied to each partition, also to those that pg-boss makes later.
    FOR part IN SELECT inhrelid::regclass FROM pg_inherits WHERE inhparent = jobs LOOP
        EXECUTE format('GRANT TRIGGER ON %s TO %I', part, owner);
    END LOOP;
    IF maker <> owner::regrole THEN
        EXECUTE format('ALTER DEFAULT PRIVILEGES FOR ROLE %s IN SCHEMA %I GRANT TRIGGER ON TABLES TO %I',
                       maker, installation, owner);
    END IF;
    EXECUTE format('GRANT %I TO %I', owner, drover);
END
$$;
