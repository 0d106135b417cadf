-- How many jobs came and went, minute by minute, where replicas of Drover share it. Drover's own schema; nothing here touches
-- anybody else's. Rows are removed by time.
--
-- A minute is counted from 1970 and has six slices of ten seconds. What was not watched is not known and never zero: a slice
-- is zero where its store was watched, its queue was known by then, and there is no row that says something else.

-- When each store was watched: a bit for each slice, the first one the lowest.
CREATE TABLE drover.history_watched (
    minute bigint   NOT NULL,
    store  text     NOT NULL,
    slices smallint NOT NULL,
    PRIMARY KEY (minute, store)
);

-- The first minute that is known of each queue.
CREATE TABLE drover.history_queue (
    store text   NOT NULL,
    queue text   NOT NULL,
    since bigint NOT NULL,
    PRIMARY KEY (store, queue)
);

-- Minutes in which something happened, or of which some is not known: null for a slice of which nothing is.
CREATE TABLE drover.history (
    minute    bigint    NOT NULL,
    store     text      NOT NULL,
    queue     text      NOT NULL,
    added     integer[] NOT NULL,
    completed integer[] NOT NULL,
    failed    integer[] NOT NULL,
    PRIMARY KEY (minute, store, queue)
);
