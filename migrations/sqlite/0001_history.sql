-- Drover's own data in the file state.db, where no Postgres is configured for it. Rows are removed by age and by size.
--
-- A minute is counted from 1970 and has six slices of ten seconds. What was not watched is not known and never zero: a slice
-- is zero where its store was watched, its queue was known by then, and there is no row that says something else.

-- When each store was watched: a bit for each slice, the first one the lowest.
CREATE TABLE history_watched (
    minute INTEGER NOT NULL,
    store  TEXT    NOT NULL,
    slices INTEGER NOT NULL,
    PRIMARY KEY (minute, store)
) WITHOUT ROWID;

-- The first minute that is known of each queue, and, to the day, the last one.
CREATE TABLE history_queue (
    id    INTEGER PRIMARY KEY,
    store TEXT    NOT NULL,
    queue TEXT    NOT NULL,
    since INTEGER NOT NULL,
    seen  INTEGER NOT NULL,
    UNIQUE (store, queue)
);

-- Minutes in which something happened, or of which some is not known. `slices` is JSON: for each slice the jobs added,
-- completed and failed, or null for one of which nothing is known.
CREATE TABLE history (
    minute INTEGER NOT NULL,
    queue  INTEGER NOT NULL,
    slices TEXT    NOT NULL,
    PRIMARY KEY (minute, queue)
) WITHOUT ROWID;

-- What the status page's bars are drawn from: for each published component and day (counted from 1970, UTC) a one or a zero
-- for each of its 1,440 minutes. Both only ever gain ones.
--
-- known   there was fresh data in this minute
-- missed  and at some moment of it the oldest wait was longer than promised
CREATE TABLE status_day (
    component TEXT    NOT NULL,
    day       INTEGER NOT NULL,
    known     TEXT    NOT NULL,
    missed    TEXT    NOT NULL,
    PRIMARY KEY (component, day)
) WITHOUT ROWID;
