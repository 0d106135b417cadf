-- A policy is leased like an operation: a new owner has a new fence, and the one before changes nothing more. Drover's own
-- schema; nothing here touches anybody else's.
ALTER TABLE drover.policy ADD COLUMN fence bigint NOT NULL DEFAULT 0;
