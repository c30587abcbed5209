-- The first schema. Times are seconds since 1970. Never edited once released: the next change is 0002.

CREATE TABLE setting (
    name  TEXT PRIMARY KEY,
    value TEXT NOT NULL
) WITHOUT ROWID;

-- What the running server found out about itself (its listeners' ports, its names), for proposed URLs.
CREATE TABLE runtime (
    name  TEXT PRIMARY KEY,
    value TEXT NOT NULL
) WITHOUT ROWID;

CREATE TABLE sequence (
    name TEXT PRIMARY KEY,
    last INTEGER NOT NULL
) WITHOUT ROWID;
INSERT INTO sequence VALUES ('package', 0);

CREATE TABLE credential (
    name        TEXT PRIMARY KEY CHECK (name IN ('authority', 'server')),
    certificate TEXT NOT NULL, -- PEM, leaf first
    private_key TEXT NOT NULL, -- PEM; nowhere else
    made_at     INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE package (
    id               TEXT PRIMARY KEY CHECK (length(id) = 10 AND id GLOB '[0-9]*'),
    name             TEXT NOT NULL UNIQUE,
    description      TEXT NOT NULL,
    system           TEXT NOT NULL CHECK (system IN ('WINDOWS', 'LINUX', 'MACOS')),
    protocol         TEXT NOT NULL CHECK (protocol IN ('HTTP', 'HTTPS')),
    priority         INTEGER NOT NULL CHECK (priority BETWEEN 0 AND 10),
    action           TEXT NOT NULL CHECK (action IN ('LAUNCH', 'EXECUTE', 'STORE')),
    argument         TEXT NOT NULL,
    notice_text      TEXT, -- NULL: the user is not warned
    notice_countdown INTEGER NOT NULL,
    notice_cancel    INTEGER NOT NULL,
    notice_delay     INTEGER NOT NULL,
    done_text        TEXT NOT NULL,
    size             INTEGER, -- NULL, as the next five: a command without a file
    fragment_size    INTEGER,
    fragments        INTEGER,
    md5              TEXT,
    sha256           TEXT,
    format           TEXT,
    info_sha256      TEXT NOT NULL, -- of the info file that belongs to this row
    manifest_sha256  TEXT NOT NULL, -- of its manifest, which names the info file and every fragment
    built_at         INTEGER NOT NULL,
    edited_at        INTEGER
) WITHOUT ROWID;

CREATE TABLE fragment (
    package_id TEXT NOT NULL REFERENCES package ON DELETE CASCADE,
    number     INTEGER NOT NULL CHECK (number >= 1),
    size       INTEGER NOT NULL CHECK (size >= 1),
    sha256     TEXT NOT NULL,
    PRIMARY KEY (package_id, number)
) WITHOUT ROWID;

CREATE TABLE activation (
    id                INTEGER PRIMARY KEY AUTOINCREMENT,
    package_id        TEXT NOT NULL REFERENCES package ON DELETE CASCADE,
    info_location     TEXT NOT NULL,
    fragment_location TEXT NOT NULL,
    activated_at      INTEGER NOT NULL,
    UNIQUE (package_id, info_location, fragment_location)
);

CREATE TABLE computer (
    id             INTEGER PRIMARY KEY AUTOINCREMENT,
    device_id      TEXT NOT NULL UNIQUE,
    name           TEXT NOT NULL,
    tag            TEXT NOT NULL,
    user_agent     TEXT NOT NULL, -- what the computer called itself
    address        TEXT NOT NULL, -- where the last contact came from
    first_seen     INTEGER NOT NULL,
    last_contact   INTEGER NOT NULL,
    last_inventory INTEGER,
    sections       TEXT NOT NULL DEFAULT '', -- names of the sections kept, space separated
    workgroup TEXT, userdomain TEXT, osname TEXT, osversion TEXT, oscomments TEXT, userid TEXT, description TEXT,
    ipaddr TEXT, uuid TEXT, arch TEXT, processort TEXT, processorn INTEGER, processors INTEGER, memory INTEGER,
    swap INTEGER, smanufacturer TEXT, smodel TEXT, ssn TEXT, bversion TEXT
);
CREATE INDEX computer_name ON computer (name);
CREATE INDEX computer_ssn ON computer (ssn) WHERE ssn IS NOT NULL AND ssn <> '';
CREATE INDEX computer_uuid ON computer (uuid) WHERE uuid IS NOT NULL AND uuid <> '';

CREATE TABLE inventory (
    computer_id INTEGER PRIMARY KEY REFERENCES computer ON DELETE CASCADE,
    received_at INTEGER NOT NULL,
    size        INTEGER NOT NULL, -- bytes of XML
    xml         BLOB NOT NULL     -- zstandard
);

CREATE TABLE account (
    computer_id INTEGER NOT NULL REFERENCES computer ON DELETE CASCADE,
    key         TEXT NOT NULL,
    value       TEXT NOT NULL,
    PRIMARY KEY (computer_id, key)
) WITHOUT ROWID;

CREATE TABLE software (
    id        INTEGER PRIMARY KEY,
    name      TEXT NOT NULL,
    version   TEXT NOT NULL,
    publisher TEXT NOT NULL,
    UNIQUE (name, version, publisher)
);

CREATE TABLE installed (
    computer_id INTEGER NOT NULL REFERENCES computer ON DELETE CASCADE,
    software_id INTEGER NOT NULL REFERENCES software,
    PRIMARY KEY (computer_id, software_id)
) WITHOUT ROWID;
CREATE INDEX installed_software ON installed (software_id);

CREATE TABLE network (
    computer_id INTEGER NOT NULL REFERENCES computer ON DELETE CASCADE,
    macaddr     TEXT NOT NULL, -- lower case
    ipaddress   TEXT NOT NULL,
    ipsubnet    TEXT NOT NULL
);
CREATE INDEX network_computer ON network (computer_id);
CREATE INDEX network_macaddr ON network (macaddr);

CREATE TABLE history (
    computer_id INTEGER NOT NULL REFERENCES computer ON DELETE CASCADE,
    package_id  TEXT NOT NULL, -- as reported; the package may be gone
    PRIMARY KEY (computer_id, package_id)
) WITHOUT ROWID;

CREATE TABLE override (
    computer_id INTEGER NOT NULL REFERENCES computer ON DELETE CASCADE,
    name        TEXT NOT NULL,
    value       INTEGER NOT NULL,
    PRIMARY KEY (computer_id, name)
) WITHOUT ROWID;

CREATE TABLE affectation (
    computer_id   INTEGER NOT NULL REFERENCES computer ON DELETE CASCADE,
    package_id    TEXT NOT NULL REFERENCES package ON DELETE CASCADE,
    activation_id INTEGER REFERENCES activation ON DELETE SET NULL, -- NULL: the newest activation
    stage         TEXT NOT NULL CHECK (stage IN ('waiting', 'notified', 'success', 'error', 'already')),
    received      TEXT NOT NULL DEFAULT '', -- the code as the agent sent it
    force         INTEGER NOT NULL DEFAULT 0,
    schedule      TEXT NOT NULL DEFAULT '',
    post_command  TEXT NOT NULL DEFAULT '',
    affected_at   INTEGER NOT NULL,
    notified_at   INTEGER, -- first announcement
    changed_at    INTEGER NOT NULL,
    PRIMARY KEY (computer_id, package_id)
) WITHOUT ROWID;
CREATE INDEX affectation_package ON affectation (package_id, stage);

-- Every message about a package on a computer, and every change of stage. Append only.
CREATE TABLE event (
    id          INTEGER PRIMARY KEY,
    computer_id INTEGER NOT NULL REFERENCES computer ON DELETE CASCADE,
    package_id  TEXT NOT NULL, -- as it was named; may be unknown
    at          INTEGER NOT NULL,
    kind        TEXT NOT NULL, -- affected, announced, result, unaffected
    detail      TEXT NOT NULL
);
CREATE INDEX event_computer ON event (computer_id, package_id);
