-- Version 4 of the catalog: pictures that were made of contents.

-- As EXIF counts; NULL where nobody has looked yet. `placeholder` of `image` is that of its content's
-- picture: it is read with every page, so it stands in the row.
ALTER TABLE image ADD COLUMN orientation INTEGER CHECK (orientation BETWEEN 1 AND 8);

-- What making pictures of a content came to. The pictures themselves are files of a cache; what cannot
-- be shown is remembered here. A row of an older `pipeline` is as good as none, but for its placeholder.
CREATE TABLE picture (
    hash          BLOB PRIMARY KEY CHECK (length(hash) = 32),
    pipeline      INTEGER NOT NULL,
    placeholder   TEXT,
    -- Why there can be no small pictures, and no large one.
    fault         TEXT,
    display_fault TEXT
) STRICT, WITHOUT ROWID;
