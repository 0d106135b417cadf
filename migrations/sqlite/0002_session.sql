-- Who is signed in. Rows are removed when a session ends and when it runs out. Every moment is in milliseconds since 1970.
CREATE TABLE session (
    -- The SHA-256 of the secret in the cookie, in hex. The secret itself is kept nowhere.
    key   TEXT    PRIMARY KEY,
    -- The user, and a hash of everything about them when the session began: a user who was changed has to sign in again.
    name  TEXT    NOT NULL,
    stamp TEXT    NOT NULL,
    -- When it began, and when it was last used, to half a minute.
    since INTEGER NOT NULL,
    seen  INTEGER NOT NULL
) WITHOUT ROWID;

CREATE INDEX session_seen ON session (seen);
CREATE INDEX session_name ON session (name);
