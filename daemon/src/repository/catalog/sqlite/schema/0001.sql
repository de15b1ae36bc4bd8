-- Version 1 of the catalog. Never edit a numbered file once it is released: the next change is the
-- next file, `schema/0002.sql`, entered in `migrate.rs`.
--
-- Times are milliseconds since 1970 in UTC, hashes 32 bytes, states 0 listed, 1 trashed, 2 purged.

-- `repository`: this repository's id.
CREATE TABLE meta (
    key   TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- What is kept instead of counted. `image` is the last number given, `seq` the newest change; a
-- commit updates them last, so that changes get their places in commit order and without gaps.
CREATE TABLE counter (
    name  TEXT PRIMARY KEY,
    value INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

INSERT INTO counter (name, value) VALUES ('image', 0), ('listed', 0), ('trashed', 0), ('seq', 0);

CREATE TABLE person (
    id         INTEGER PRIMARY KEY,
    kind       TEXT NOT NULL CHECK (kind IN ('owner', 'account', 'guest', 'imported')),
    name       TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    listed     INTEGER NOT NULL DEFAULT 0,
    trashed    INTEGER NOT NULL DEFAULT 0,
    UNIQUE (name, kind)
) STRICT;

-- A purged image keeps its row: its number is never given again.
CREATE TABLE image (
    id          INTEGER PRIMARY KEY,
    person      INTEGER NOT NULL REFERENCES person (id),
    name        TEXT NOT NULL,
    blob        BLOB NOT NULL CHECK (length(blob) = 32),
    size_bytes  INTEGER NOT NULL,
    media_type  TEXT NOT NULL,
    width       INTEGER,
    height      INTEGER,
    uploaded_at INTEGER NOT NULL,
    taken_at    TEXT,
    placeholder TEXT,
    state       INTEGER NOT NULL CHECK (state IN (0, 1, 2)),
    trashed_at  INTEGER
) STRICT;

-- Every order is by `id`. Time and type stand in the index, so that a page of few days or of one
-- type looks at no record that it does not give.
CREATE INDEX image_page ON image (state, id, uploaded_at, media_type);
CREATE INDEX image_person ON image (person, state, id);
CREATE INDEX image_name ON image (name, state, id);
CREATE INDEX image_blob ON image (blob, state, person);
CREATE INDEX image_trash ON image (trashed_at, id) WHERE state = 1;

-- Names of images that are not purged, folded, in pieces of three characters. It keeps which image
-- has which piece and no more: what is found is looked at again.
CREATE VIRTUAL TABLE name_search USING fts5 (
    name,
    content = '',
    columnsize = 0,
    detail = none,
    tokenize = 'trigram case_sensitive 1'
);

-- The image that a person has of a content: a listed one where there is one, else one in the trash.
CREATE TABLE dedup (
    person INTEGER NOT NULL REFERENCES person (id),
    hash   BLOB NOT NULL CHECK (length(hash) = 32),
    image  INTEGER NOT NULL REFERENCES image (id),
    PRIMARY KEY (person, hash)
) STRICT, WITHOUT ROWID;

-- A person purged this content and has not stored it anew since.
CREATE TABLE tombstone (
    person    INTEGER NOT NULL REFERENCES person (id),
    hash      BLOB NOT NULL CHECK (length(hash) = 32),
    purged_at INTEGER NOT NULL,
    PRIMARY KEY (person, hash)
) STRICT, WITHOUT ROWID;

-- The history. `by_name` and `record` (JSON, as on the wire) are as they were then.
CREATE TABLE change (
    seq     INTEGER PRIMARY KEY,
    at      INTEGER NOT NULL,
    person  INTEGER NOT NULL REFERENCES person (id),
    by_name TEXT NOT NULL,
    kind    TEXT NOT NULL,
    image   INTEGER NOT NULL REFERENCES image (id),
    record  TEXT NOT NULL
) STRICT;

CREATE INDEX change_upload ON change (seq) WHERE kind = 'NEW_UPLOAD';

-- Uploads in progress whose first `synced_bytes` are on disk for sure.
CREATE TABLE staging (
    person       INTEGER NOT NULL REFERENCES person (id),
    hash         BLOB NOT NULL CHECK (length(hash) = 32),
    size_bytes   INTEGER NOT NULL,
    synced_bytes INTEGER NOT NULL,
    updated_at   INTEGER NOT NULL,
    PRIMARY KEY (person, hash, size_bytes)
) STRICT, WITHOUT ROWID;
