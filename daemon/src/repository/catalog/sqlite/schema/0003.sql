-- Version 3 of the catalog: accounts, their devices, invitations, and the record of what was done.

-- `shown` is the name as everybody sees it: a guest whose name is the owner's or an account's is
-- `ana (guest)`. `bytes` are those of the person's images, listed or in the trash: kept, not counted.
ALTER TABLE person ADD COLUMN role TEXT CHECK (role IN ('viewer', 'member', 'admin'));
ALTER TABLE person ADD COLUMN disabled INTEGER NOT NULL DEFAULT 0 CHECK (disabled IN (0, 1));
ALTER TABLE person ADD COLUMN shown TEXT NOT NULL DEFAULT '';
ALTER TABLE person ADD COLUMN bytes INTEGER NOT NULL DEFAULT 0;

UPDATE person SET
    shown = name,
    bytes = (SELECT coalesce(sum(size_bytes), 0) FROM image INDEXED BY image_person
             WHERE image.person = person.id AND image.state IN (0, 1));

-- Fourteen characters have at most the 56 bytes that are left of a name's 64.
UPDATE person SET shown = iif(length(CAST(name AS BLOB)) > 56, rtrim(substr(name, 1, 14)), name) || ' (guest)'
    WHERE kind = 'guest'
    AND name IN (SELECT name FROM person WHERE kind IN ('owner', 'account'));

INSERT INTO counter (name, value) SELECT 'bytes', coalesce(sum(bytes), 0) FROM person;

CREATE INDEX person_shown ON person (shown);
CREATE INDEX person_kind ON person (kind, id);

-- What holds a credential of a person. No row of these three tables ever goes: a number is given once.
CREATE TABLE device (
    id         INTEGER PRIMARY KEY,
    person     INTEGER NOT NULL REFERENCES person (id),
    -- BLAKE3 of its credential, which stands nowhere.
    credential BLOB NOT NULL UNIQUE CHECK (length(credential) = 32),
    label      TEXT NOT NULL,
    kind       TEXT NOT NULL CHECK (kind IN ('program', 'browser')),
    created_at INTEGER NOT NULL,
    seen_at    INTEGER,
    revoked_at INTEGER
) STRICT;

CREATE INDEX device_person ON device (person, id);

CREATE TABLE invitation (
    id         INTEGER PRIMARY KEY,
    -- BLAKE3 of its secret, which stands nowhere.
    secret     BLOB NOT NULL UNIQUE CHECK (length(secret) = 32),
    role       TEXT CHECK (role IN ('viewer', 'member', 'admin')),
    -- Whose further device it lets in; which guest becomes the account.
    person     INTEGER REFERENCES person (id),
    guest      INTEGER REFERENCES person (id),
    uses_left  INTEGER NOT NULL CHECK (uses_left >= 0),
    by         INTEGER NOT NULL REFERENCES person (id),
    device     INTEGER REFERENCES device (id),
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    used_at    INTEGER,
    revoked_at INTEGER
) STRICT;

CREATE INDEX invitation_live ON invitation (expires_at) WHERE revoked_at IS NULL AND uses_left > 0;

-- `by_name` and `object` are as they were then.
CREATE TABLE audit (
    id      INTEGER PRIMARY KEY,
    at      INTEGER NOT NULL,
    person  INTEGER NOT NULL REFERENCES person (id),
    by_name TEXT NOT NULL,
    origin  TEXT NOT NULL,
    act     TEXT NOT NULL,
    object  TEXT NOT NULL
) STRICT;
