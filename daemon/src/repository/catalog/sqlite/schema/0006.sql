-- Version 6 of the catalog: an upload writes less. Names come to the search many at once, and what
-- image a person has of a content is told by `image_blob` alone.

-- The last image whose name is in `name_search`, or would be were it not purged. Those after it are
-- looked at by themselves.
INSERT INTO counter (name, value) SELECT 'searched', value FROM counter WHERE name = 'image';

DROP TABLE dedup;
