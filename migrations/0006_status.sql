-- What the status page's bars are drawn from, shared by replicas of Drover. Drover's own schema; nothing here touches anybody
-- else's. Rows are removed by time.
--
-- One row for each published component and day (counted from 1970, UTC), with a bit for each of its 1,440 minutes, the first
-- one leftmost. Both only ever gain bits, so that two replicas, or one that starts again, add up to the same.
--
-- known   there was fresh data in this minute
-- missed  and at some moment of it the oldest wait was longer than promised
CREATE TABLE drover.status_day (
    component text      NOT NULL,
    day       integer   NOT NULL,
    known     bit(1440) NOT NULL,
    missed    bit(1440) NOT NULL,
    PRIMARY KEY (component, day)
);
