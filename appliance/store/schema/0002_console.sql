-- The console: accounts, groups, searches, the log, drafts of packages. Times are seconds since 1970.

CREATE TABLE user (
    id           INTEGER PRIMARY KEY AUTOINCREMENT,
    name         TEXT NOT NULL UNIQUE COLLATE NOCASE,
    full_name    TEXT NOT NULL DEFAULT '',
    role         TEXT NOT NULL CHECK (role IN ('user', 'administrator')),
    password     TEXT NOT NULL, -- Argon2id, PHC string
    language     TEXT NOT NULL DEFAULT '' CHECK (language IN ('', 'en', 'es')), -- '': the browser's
    disabled     INTEGER NOT NULL DEFAULT 0,
    created_at   INTEGER NOT NULL,
    last_login   INTEGER,
    totp_secret  TEXT, -- base32; NULL: no second factor
    totp_step    INTEGER NOT NULL DEFAULT 0 -- the last one used: none is used twice
);

CREATE TABLE user_tag (
    user_id INTEGER NOT NULL REFERENCES user ON DELETE CASCADE,
    tag     TEXT NOT NULL,
    PRIMARY KEY (user_id, tag)
) WITHOUT ROWID;

CREATE TABLE recovery_code (
    user_id INTEGER NOT NULL REFERENCES user ON DELETE CASCADE,
    sha256  TEXT NOT NULL,
    PRIMARY KEY (user_id, sha256)
) WITHOUT ROWID;

CREATE TABLE session (
    sha256     TEXT PRIMARY KEY, -- of the cookie's value, which is nowhere else
    user_id    INTEGER NOT NULL REFERENCES user ON DELETE CASCADE,
    created_at INTEGER NOT NULL,
    used_at    INTEGER NOT NULL,
    fresh_at   INTEGER NOT NULL, -- when the password was last given
    complete   INTEGER NOT NULL, -- 0: the second factor is still to come
    address    TEXT NOT NULL,
    user_agent TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX session_user ON session (user_id);

CREATE TABLE token (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    user_id    INTEGER NOT NULL REFERENCES user ON DELETE CASCADE,
    name       TEXT NOT NULL,
    sha256     TEXT NOT NULL UNIQUE, -- of the secret, which was shown once
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    used_at    INTEGER,
    UNIQUE (user_id, name)
);

-- Failed sign-ins on end. By name, known or not, so that an answer never tells which; and by address, so that one
-- cannot try all accounts.
CREATE TABLE login_failure (
    who          TEXT PRIMARY KEY, -- 'name ana', 'address 192.0.2.7'
    failures     INTEGER NOT NULL,
    last_at      INTEGER NOT NULL,
    blocked_till INTEGER NOT NULL
) WITHOUT ROWID;

-- What was done, by whom, when. Append only; every row carries the digest of the one before it.
CREATE TABLE log (
    id      INTEGER PRIMARY KEY,
    at      INTEGER NOT NULL,
    actor   TEXT NOT NULL,
    through TEXT NOT NULL,
    deed    TEXT NOT NULL,
    subject TEXT NOT NULL,
    detail  TEXT NOT NULL, -- JSON
    chain   TEXT NOT NULL  -- SHA-256 of the former row's chain and of this row
);
CREATE INDEX log_deed ON log (deed);
CREATE TRIGGER log_never_changes BEFORE UPDATE ON log BEGIN SELECT raise(ABORT, 'the log is append only'); END;
CREATE TRIGGER log_never_shrinks BEFORE DELETE ON log BEGIN SELECT raise(ABORT, 'the log is append only'); END;

CREATE TABLE computer_group (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    name        TEXT NOT NULL UNIQUE COLLATE NOCASE,
    description TEXT NOT NULL DEFAULT '',
    search      TEXT, -- JSON criteria; NULL: a static group
    visible     INTEGER NOT NULL DEFAULT 0, -- users may add and remove their own computers
    created_at  INTEGER NOT NULL,
    changed_at  INTEGER NOT NULL
);

-- Static groups: who is in. Dynamic groups: exceptions by hand, whatever the search says.
CREATE TABLE membership (
    group_id    INTEGER NOT NULL REFERENCES computer_group ON DELETE CASCADE,
    computer_id INTEGER NOT NULL REFERENCES computer ON DELETE CASCADE,
    excluded    INTEGER NOT NULL DEFAULT 0,
    added_at    INTEGER NOT NULL,
    PRIMARY KEY (group_id, computer_id)
) WITHOUT ROWID;
CREATE INDEX membership_computer ON membership (computer_id);

CREATE TABLE group_override (
    group_id INTEGER NOT NULL REFERENCES computer_group ON DELETE CASCADE,
    name     TEXT NOT NULL,
    value    INTEGER NOT NULL,
    PRIMARY KEY (group_id, name)
) WITHOUT ROWID;

CREATE TABLE group_affectation (
    group_id      INTEGER NOT NULL REFERENCES computer_group ON DELETE CASCADE,
    package_id    TEXT NOT NULL REFERENCES package ON DELETE CASCADE,
    activation_id INTEGER REFERENCES activation ON DELETE SET NULL,
    schedule      TEXT NOT NULL DEFAULT '',
    post_command  TEXT NOT NULL DEFAULT '',
    affected_at   INTEGER NOT NULL,
    PRIMARY KEY (group_id, package_id)
) WITHOUT ROWID;
CREATE INDEX group_affectation_package ON group_affectation (package_id);

-- The group that an affectation came from; NULL: affected to the computer itself.
ALTER TABLE affectation ADD COLUMN group_id INTEGER REFERENCES computer_group ON DELETE SET NULL;
-- How many fragments the computer has, as our agent reports it.
ALTER TABLE affectation ADD COLUMN fetched INTEGER NOT NULL DEFAULT 0;
ALTER TABLE affectation ADD COLUMN fetched_at INTEGER;
CREATE INDEX affectation_group ON affectation (group_id, package_id, stage) WHERE group_id IS NOT NULL;
-- Progress over time is counted from these two alone.
DROP INDEX affectation_package;
CREATE INDEX affectation_package ON affectation (package_id, stage, received, changed_at);
CREATE INDEX affectation_notified ON affectation (package_id, notified_at) WHERE notified_at IS NOT NULL;
CREATE INDEX affectation_activation ON affectation (activation_id) WHERE activation_id IS NOT NULL;

-- How many computers of a package stand at which stage with which code. The rows themselves keep it, whoever changes
-- them: to count hundreds of thousands takes longer than a page may.
CREATE TABLE affectation_count (
    package_id TEXT NOT NULL,
    stage      TEXT NOT NULL,
    received   TEXT NOT NULL,
    computers  INTEGER NOT NULL CHECK (computers >= 0),
    PRIMARY KEY (package_id, stage, received)
) WITHOUT ROWID;
INSERT INTO affectation_count (package_id, stage, received, computers)
SELECT package_id, stage, received, count(*) FROM affectation GROUP BY package_id, stage, received;
CREATE TRIGGER affectation_came AFTER INSERT ON affectation BEGIN
    INSERT INTO affectation_count (package_id, stage, received, computers)
    VALUES (NEW.package_id, NEW.stage, NEW.received, 1) ON CONFLICT DO UPDATE SET computers = computers + 1;
END;
CREATE TRIGGER affectation_went AFTER DELETE ON affectation BEGIN
    UPDATE affectation_count SET computers = computers - 1
     WHERE package_id = OLD.package_id AND stage = OLD.stage AND received = OLD.received;
    DELETE FROM affectation_count
     WHERE package_id = OLD.package_id AND stage = OLD.stage AND received = OLD.received AND computers = 0;
END;
CREATE TRIGGER affectation_moved AFTER UPDATE OF package_id, stage, received ON affectation
WHEN (NEW.package_id, NEW.stage, NEW.received) <> (OLD.package_id, OLD.stage, OLD.received) BEGIN
    INSERT INTO affectation_count (package_id, stage, received, computers)
    VALUES (NEW.package_id, NEW.stage, NEW.received, 1) ON CONFLICT DO UPDATE SET computers = computers + 1;
    UPDATE affectation_count SET computers = computers - 1
     WHERE package_id = OLD.package_id AND stage = OLD.stage AND received = OLD.received;
    DELETE FROM affectation_count
     WHERE package_id = OLD.package_id AND stage = OLD.stage AND received = OLD.received AND computers = 0;
END;

CREATE TABLE saved_search (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    name       TEXT NOT NULL UNIQUE COLLATE NOCASE,
    search     TEXT NOT NULL, -- JSON criteria
    created_at INTEGER NOT NULL
);

-- A package on its way to be built: the form's values, and the file as far as it has arrived.
CREATE TABLE draft (
    id          TEXT PRIMARY KEY, -- random, hexadecimal; names the upload's file
    user_id     INTEGER REFERENCES user ON DELETE CASCADE,
    package_id  TEXT REFERENCES package ON DELETE CASCADE, -- the package that is edited; NULL: a new one
    form        TEXT NOT NULL, -- JSON
    file_name   TEXT NOT NULL DEFAULT '',
    size        INTEGER NOT NULL DEFAULT 0, -- bytes that the browser announced
    piece       INTEGER NOT NULL DEFAULT 0, -- bytes of the pieces that the file is kept in
    member      TEXT NOT NULL DEFAULT '', -- the file's name in the archive that the server packed it into
    created_at  INTEGER NOT NULL,
    changed_at  INTEGER NOT NULL
) WITHOUT ROWID;

-- Every value of an inventory once (software has its own table), so that any field can be searched.
CREATE TABLE inventory_value (
    id      INTEGER PRIMARY KEY,
    section TEXT NOT NULL,
    field   TEXT NOT NULL,
    value   TEXT NOT NULL,
    UNIQUE (section, field, value)
);
CREATE TABLE inventory_said (
    computer_id INTEGER NOT NULL REFERENCES computer ON DELETE CASCADE,
    value_id    INTEGER NOT NULL REFERENCES inventory_value,
    PRIMARY KEY (computer_id, value_id)
) WITHOUT ROWID;
CREATE INDEX inventory_said_value ON inventory_said (value_id);
CREATE TRIGGER inventory_value_unsaid AFTER DELETE ON inventory_said BEGIN
    DELETE FROM inventory_value
     WHERE id = OLD.value_id AND NOT EXISTS (SELECT 1 FROM inventory_said WHERE value_id = OLD.value_id);
END;

CREATE INDEX account_key ON account (key COLLATE NOCASE);
-- The list by name, and all that its quick filter reads.
CREATE INDEX computer_named ON computer (name COLLATE NOCASE, id, userid, ipaddr, tag, osname);
CREATE INDEX computer_osname ON computer (osname);
CREATE INDEX computer_tag ON computer (tag);
CREATE INDEX computer_last_contact ON computer (last_contact);

-- The key of a certificate request, until its certificate is installed.
CREATE TABLE certificate_request (
    id          INTEGER PRIMARY KEY CHECK (id = 1),
    request     TEXT NOT NULL, -- PEM
    private_key TEXT NOT NULL, -- PEM; nowhere else
    made_at     INTEGER NOT NULL
);

-- Roots of other authorities that issued a server certificate: they stand in cacert.pem beside our own.
CREATE TABLE foreign_root (
    sha256      TEXT PRIMARY KEY, -- of the certificate, DER
    certificate TEXT NOT NULL, -- PEM
    added_at    INTEGER NOT NULL
) WITHOUT ROWID;

-- Changes of our authority. While one is under way agents may know either authority: cacert.pem has both.
CREATE TABLE authority_change (
    id       INTEGER PRIMARY KEY AUTOINCREMENT,
    former   TEXT NOT NULL, -- PEM; its key is gone
    crossed  TEXT NOT NULL, -- PEM: the authority after it, signed by the former one
    began_at INTEGER NOT NULL,
    ended_at INTEGER -- NULL: it is under way
);
CREATE UNIQUE INDEX authority_change_open ON authority_change (ended_at IS NULL) WHERE ended_at IS NULL;

-- Our agents say which authorities they know; of each computer the newest of our own.
CREATE TABLE known_authority (
    computer_id INTEGER PRIMARY KEY REFERENCES computer ON DELETE CASCADE,
    sha256      TEXT NOT NULL, -- of the certificate, DER
    told_at     INTEGER NOT NULL
) WITHOUT ROWID;
