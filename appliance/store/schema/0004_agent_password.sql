-- Passwords for agents that cannot join: in mode closed they are answered with one, over HTTPS. Times in seconds.

CREATE TABLE agent_password (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    name       TEXT NOT NULL UNIQUE COLLATE NOCASE, -- the user name
    sha256     TEXT NOT NULL, -- of the password, which was made here and shown once
    created_at INTEGER NOT NULL,
    created_by TEXT NOT NULL,
    used_at    INTEGER
);
