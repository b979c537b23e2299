-- lock: events
-- The greatest number that was given, to an event of any folder.
SELECT coalesce(max(seq), 0) FROM upkeep_sync_event;

-- Folders that are not there yet begin at the base by themselves.
INSERT INTO upkeep_sync_event (folder, seq, time_ms, run, record)
SELECT folder, {base}, {ms}, CAST('' AS {bytes}), '' FROM upkeep_sync_folder;
