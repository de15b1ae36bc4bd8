-- Version 6 of the catalog: names come to the search many at once.

-- The last image whose name is in `name_search`, or would be were it not purged. Those after it are
-- looked at by themselves.
INSERT INTO counter (name, value) SELECT 'searched', value FROM counter WHERE name = 'image';
