-- Users who sign in with a password, and tokens of programs, shared by replicas of Drover, in Drover's own schema alone.
--
-- Every moment is in milliseconds since 1970, by the clock of the process that notes it. Lists are JSON.
CREATE TABLE drover.user (
    name   text   PRIMARY KEY,
    -- The argon2id hash of the password, with everything that is needed to check it.
    hash   text   NOT NULL,
    -- The name of a role, empty for none, and the queues that it is for.
    role   text   NOT NULL,
    queues text   NOT NULL,
    -- Groups, for the grants of the configuration.
    groups text   NOT NULL
);

CREATE TABLE drover.token (
    id      text   PRIMARY KEY,
    -- What it is for.
    name    text   NOT NULL UNIQUE,
    -- The SHA-256 of the token, in hex. The token itself is kept nowhere.
    sha256  text   NOT NULL UNIQUE,
    -- The names of its permissions, and the queues that they are for.
    allow   text   NOT NULL,
    queues  text   NOT NULL,
    created bigint NOT NULL,
    expires bigint NOT NULL
);

-- What a replica asks for before it relies on the users and tokens in its memory.
CREATE TABLE drover.identity (
    -- 'token' or 'user'.
    what       text   PRIMARY KEY,
    -- Another random number after each change.
    revision   bigint NOT NULL,
    -- When the file of an earlier Drover was taken over; no other file is after that.
    taken_over bigint
);

INSERT INTO drover.identity (what, revision) VALUES ('token', 0), ('user', 0);
