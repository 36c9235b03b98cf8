-- One dialect for SQLite and PostgreSQL: TEXT, BIGINT and BOOLEAN only. Times
-- are microseconds since 1970, UTC.

-- +goose Up
CREATE TABLE spaces (
    id          TEXT    PRIMARY KEY,
    title       TEXT    NOT NULL,
    description TEXT    NOT NULL,
    phase       TEXT    NOT NULL,
    stereo      BOOLEAN NOT NULL,
    rescheduled BOOLEAN NOT NULL,
    created     BIGINT  NOT NULL,
    starts_at   BIGINT,
    opened_at   BIGINT,
    started_at  BIGINT,
    ended_at    BIGINT,
    is_over     BOOLEAN NOT NULL, -- phase is ended or cancelled: lists have what is to come first
    settled     BOOLEAN NOT NULL  -- over, and the stage has nothing left to do for it
);
CREATE INDEX spaces_listed ON spaces (is_over, created DESC, id);
CREATE INDEX spaces_unsettled ON spaces (id) WHERE NOT settled;

CREATE TABLE invites (
    space   TEXT    NOT NULL REFERENCES spaces (id) ON DELETE CASCADE,
    seat    TEXT    NOT NULL,
    role    TEXT    NOT NULL,
    name    TEXT    NOT NULL,
    created BIGINT  NOT NULL,
    revoked BOOLEAN NOT NULL,
    PRIMARY KEY (space, seat)
);

-- +goose Down
DROP TABLE invites;
DROP TABLE spaces;
