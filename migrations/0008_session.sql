-- Who is signed in, shared by replicas of Drover, in Drover's own schema alone. Rows are removed when a session
-- ends and when it runs out.
--
-- Every moment is in milliseconds since 1970, by the clock of the replica that notes it.
CREATE TABLE drover.session (
    -- The SHA-256 of the secret in the cookie, in hex. The secret itself is kept nowhere.
    key   text   PRIMARY KEY,
    -- The user, and a hash of everything about them when the session began: a user who was changed has to sign in again.
    name  text   NOT NULL,
    stamp text   NOT NULL,
    -- When it began, and when it was last used, to half a minute.
    since bigint NOT NULL,
    seen  bigint NOT NULL
);

CREATE INDEX session_seen ON drover.session (seen);
CREATE INDEX session_name ON drover.session (name);
