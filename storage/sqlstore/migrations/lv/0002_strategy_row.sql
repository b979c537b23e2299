-- 0002: a strategy knows the row of its target, so that whether one still shows
-- a deleted row is found by the row. A program that does not know of it would
-- leave the name of another row.
-- oldest: 0002

ALTER TABLE upkeep_lv_strategy ADD COLUMN name {bytes}; -- row of the target

UPDATE upkeep_lv_strategy SET name = (SELECT v.name FROM upkeep_lv_version v WHERE v.id = upkeep_lv_strategy.target);

CREATE INDEX upkeep_lv_strategy_name ON upkeep_lv_strategy (tbl, name) WHERE deleted = 0;
