-- Users who sign in with a password, and tokens of programs.
--
-- Every moment is in milliseconds since 1970. Lists are JSON.
CREATE TABLE user (
    name   TEXT    PRIMARY KEY,
    -- The argon2id hash of the password, with everything that is needed to check it.
    hash   TEXT    NOT NULL,
    -- The name of a role, empty for none, and the queues that it is for.
    role   TEXT    NOT NULL,
    queues TEXT    NOT NULL,
    -- Groups, for the grants of the configuration.
    groups TEXT    NOT NULL
) WITHOUT ROWID;

CREATE TABLE token (
    id      TEXT    PRIMARY KEY,
    -- What it is for.
    name    TEXT    NOT NULL UNIQUE,
    -- The SHA-256 of the token, in hex. The token itself is kept nowhere.
    sha256  TEXT    NOT NULL UNIQUE,
    -- The names of its permissions, and the queues that they are for.
    allow   TEXT    NOT NULL,
    queues  TEXT    NOT NULL,
    created INTEGER NOT NULL,
    expires INTEGER NOT NULL
) WITHOUT ROWID;

-- What Drover asks for before it relies on the users and tokens in its memory.
CREATE TABLE identity (
    -- 'token' or 'user'.
    what       TEXT    PRIMARY KEY,
    -- Another random number after each change.
    revision   INTEGER NOT NULL,
    -- When the file of an earlier Drover was taken over; no other file is after that.
    taken_over INTEGER
) WITHOUT ROWID;

INSERT INTO identity (what, revision) VALUES ('token', 0), ('user', 0);
