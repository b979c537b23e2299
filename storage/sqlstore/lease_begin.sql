-- lock: none
-- The greatest token that was given.
SELECT coalesce(max(token), 0) FROM upkeep_lease;

-- Tokens of items that are not there yet begin at the base by themselves.
UPDATE upkeep_lease SET token = {base} WHERE token < {base};
