-- Version 7 of the catalog: what image a person has of a content is told by `image_blob` alone.

DROP TABLE dedup;
