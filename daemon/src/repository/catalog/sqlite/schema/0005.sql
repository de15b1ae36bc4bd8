-- Version 5 of the catalog: how the search for names is kept in order.

-- Each commit leaves a segment of its own names. Merged by fours, as FTS5 has it, the segments of a
-- million images cost more than half of an upload; by sixteens each name is written half as often, and
-- a search looks into a few more of them.
INSERT INTO name_search (name_search, rank) VALUES ('automerge', 16);
