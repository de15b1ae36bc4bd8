-- What a client remembers of its uploads: in which repositories and as whom they are made, the
-- watched folders, and every upload's whole story.
--
-- Times are milliseconds since 1970; devices and inodes are the same 64 bits, signed; paths are the
-- system's bytes.

CREATE TABLE setting (
    key TEXT PRIMARY KEY,
    value INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- A person in a repository: whose queue and whose folders.
CREATE TABLE membership (
    id INTEGER PRIMARY KEY,
    repository TEXT NOT NULL,
    person TEXT NOT NULL,
    url TEXT NOT NULL,
    -- Grows: of several met at one address the last is the one that is there.
    met INTEGER NOT NULL,
    UNIQUE (repository, person)
) STRICT;

CREATE TABLE folder (
    -- Never given twice: a late word of a removed folder must not reach another.
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    membership INTEGER NOT NULL REFERENCES membership (id),
    path BLOB NOT NULL,
    after TEXT NOT NULL CHECK (after IN ('keep', 'move', 'trash')),
    move_to BLOB,
    paused INTEGER NOT NULL DEFAULT 0,
    -- The directory that the path led to when it was last there.
    root_device INTEGER,
    root_inode INTEGER,
    scanned_at INTEGER,
    UNIQUE (membership, path)
) STRICT;

CREATE TABLE upload (
    -- Never given twice: a file that changed is another upload with another number.
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    membership INTEGER NOT NULL REFERENCES membership (id),
    -- None: asked for by hand.
    folder INTEGER REFERENCES folder (id),
    -- None: a content that was streamed here and waits in the spool, under this number.
    directory BLOB,
    file BLOB,
    spool INTEGER,
    name TEXT NOT NULL,
    unless_deleted INTEGER NOT NULL,
    state TEXT NOT NULL,
    device INTEGER NOT NULL,
    inode INTEGER NOT NULL,
    size INTEGER NOT NULL,
    modified_s INTEGER NOT NULL,
    modified_ns INTEGER NOT NULL,
    -- More than 1 MiB: it goes in the lane of the large ones.
    large INTEGER NOT NULL GENERATED ALWAYS AS (size > 1048576) VIRTUAL,
    hash BLOB,
    image INTEGER,
    seen_at INTEGER NOT NULL,
    queued_at INTEGER,
    hashed_at INTEGER,
    sent_at INTEGER,
    ended_at INTEGER,
    attempts INTEGER NOT NULL DEFAULT 0,
    -- Passing faults since something went well: the back-off's.
    faults INTEGER NOT NULL DEFAULT 0,
    -- While waiting. 0: as soon as there is a session.
    retry_at INTEGER,
    -- A refusal as JSON.
    error TEXT,
    -- The server (name and version) whose word ended it.
    refused_by TEXT,
    -- The file was moved away, or to the trash, after the receipt.
    put_away INTEGER NOT NULL DEFAULT 0,
    moved_to BLOB
) STRICT;

-- A directory's files in one stretch.
CREATE UNIQUE INDEX upload_file ON upload (folder, directory, file) WHERE folder IS NOT NULL;
CREATE INDEX upload_by_hand ON upload (directory, file) WHERE folder IS NULL;
CREATE INDEX upload_turn ON upload (membership, state, large, id);
CREATE INDEX upload_waiting ON upload (membership, large, retry_at) WHERE state = 'waiting';
CREATE INDEX upload_shown ON upload (membership, id)
    WHERE state IN ('settling', 'queued', 'sending', 'waiting', 'refused', 'failed');
CREATE INDEX upload_settling ON upload (folder) WHERE state = 'settling' AND folder IS NOT NULL;
CREATE INDEX upload_problem ON upload (folder, id)
    WHERE state IN ('ignored', 'refused', 'failed') AND folder IS NOT NULL;
CREATE INDEX upload_receipt ON upload (folder, id)
    WHERE state IN ('stored', 'duplicate') AND put_away = 0 AND folder IS NOT NULL;
CREATE INDEX upload_spool ON upload (spool) WHERE spool IS NOT NULL;
-- What may be forgotten after some time.
CREATE INDEX upload_past ON upload (ended_at)
    WHERE ended_at IS NOT NULL AND (folder IS NULL OR put_away = 1);

-- How many uploads are in each state, and their bytes: kept, not counted. Folder 0: by hand.
CREATE TABLE tally (
    membership INTEGER NOT NULL,
    folder INTEGER NOT NULL,
    state TEXT NOT NULL,
    count INTEGER NOT NULL,
    bytes INTEGER NOT NULL,
    PRIMARY KEY (membership, folder, state)
) STRICT, WITHOUT ROWID;

CREATE TRIGGER upload_came AFTER INSERT ON upload BEGIN
    INSERT INTO tally VALUES (new.membership, coalesce(new.folder, 0), new.state, 1, new.size)
        ON CONFLICT DO UPDATE SET count = count + 1, bytes = bytes + excluded.bytes;
END;

CREATE TRIGGER upload_moved AFTER UPDATE OF state, size ON upload
WHEN old.state <> new.state OR old.size <> new.size BEGIN
    UPDATE tally SET count = count - 1, bytes = bytes - old.size
        WHERE membership = old.membership AND folder = coalesce(old.folder, 0) AND state = old.state;
    INSERT INTO tally VALUES (new.membership, coalesce(new.folder, 0), new.state, 1, new.size)
        ON CONFLICT DO UPDATE SET count = count + 1, bytes = bytes + excluded.bytes;
END;

CREATE TRIGGER upload_went AFTER DELETE ON upload BEGIN
    UPDATE tally SET count = count - 1, bytes = bytes - old.size
        WHERE membership = old.membership AND folder = coalesce(old.folder, 0) AND state = old.state;
END;
