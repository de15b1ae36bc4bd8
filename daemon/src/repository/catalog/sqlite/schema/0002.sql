-- Version 2 of the catalog: what images that were imported were in the catalog that they come from.

-- A row stays when its image is renamed or purged: an entry is imported once. `timestamp` is the JSON
-- in which it stood there; the rest of the entry is the image's person and content.
CREATE TABLE imported (
    image     INTEGER PRIMARY KEY REFERENCES image (id),
    number    INTEGER NOT NULL,
    name      TEXT NOT NULL,
    timestamp TEXT NOT NULL
) STRICT;

CREATE INDEX imported_number ON imported (number);
