-- A careless change: the pages of this release still ask for the column.
ALTER TABLE article DROP COLUMN author;
