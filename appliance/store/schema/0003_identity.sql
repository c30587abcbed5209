-- Who a post is from: computers that joined prove it with a certificate, doubtful posts wait. Times in seconds.

-- One-time secrets with which computers join.
CREATE TABLE join_token (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    sha256     TEXT NOT NULL UNIQUE, -- of the secret, which was shown once
    created_at INTEGER NOT NULL,
    created_by TEXT NOT NULL,
    expires_at INTEGER NOT NULL,
    uses       INTEGER NOT NULL, -- that are left
    tag        TEXT NOT NULL DEFAULT '',
    group_id   INTEGER REFERENCES computer_group ON DELETE SET NULL
);

CREATE TABLE member (
    computer_id INTEGER PRIMARY KEY REFERENCES computer ON DELETE CASCADE,
    joined_at   INTEGER NOT NULL
);

-- At most two of a computer: a new one and the one before it, until the new one was used. Their keys are not kept.
CREATE TABLE member_certificate (
    sha256      TEXT PRIMARY KEY, -- of the certificate, DER
    computer_id INTEGER NOT NULL REFERENCES member ON DELETE CASCADE,
    serial      TEXT NOT NULL, -- hexadecimal
    issued_at   INTEGER NOT NULL,
    expires_at  INTEGER NOT NULL,
    used_at     INTEGER
) WITHOUT ROWID;
CREATE INDEX member_certificate_computer ON member_certificate (computer_id);

-- Posts that could be somebody else's: what was asked, and what was decided.
CREATE TABLE doubt (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    kind        TEXT NOT NULL CHECK (kind IN ('rename', 'merge', 'new', 'impostor', 'clone', 'address')),
    computer_id INTEGER NOT NULL REFERENCES computer ON DELETE CASCADE, -- whose post it was, or says to be
    other_id    INTEGER REFERENCES computer ON DELETE CASCADE, -- the computer that it wants to be, too
    address     TEXT NOT NULL,
    detail      TEXT NOT NULL,
    first_at    INTEGER NOT NULL,
    last_at     INTEGER NOT NULL,
    count       INTEGER NOT NULL DEFAULT 1,
    held        INTEGER NOT NULL DEFAULT 0, -- nothing is deployed to the computer meanwhile
    decision    TEXT NOT NULL DEFAULT '' CHECK (decision IN ('', 'happened', 'accepted', 'refused')),
    decided_at  INTEGER,
    decided_by  TEXT NOT NULL DEFAULT ''
);
CREATE UNIQUE INDEX doubt_open ON doubt (kind, computer_id, coalesce(other_id, 0)) WHERE decision = '';
CREATE INDEX doubt_computer ON doubt (computer_id);
CREATE INDEX doubt_other ON doubt (other_id) WHERE other_id IS NOT NULL;

-- What a computer showed itself as lately: two that take turns are two computers.
CREATE TABLE sighting (
    computer_id INTEGER NOT NULL REFERENCES computer ON DELETE CASCADE,
    kind        TEXT NOT NULL, -- address, uuid, serial, macs
    mark        TEXT NOT NULL,
    at          INTEGER NOT NULL,
    turns       INTEGER NOT NULL, -- how often it came back after another
    newest      INTEGER NOT NULL,
    PRIMARY KEY (computer_id, kind, mark)
) WITHOUT ROWID;
