-- lock: events
-- The greatest number that was given.
SELECT coalesce(max(seq), 0) FROM upkeep_rollout_event;

INSERT INTO upkeep_rollout_event (seq, time_ms, run, record) VALUES ({base}, {ms}, CAST('' AS {bytes}), '');
