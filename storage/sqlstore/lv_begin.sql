-- lock: events
-- The greatest number that was given, to an event or to a version.
SELECT max(n) FROM (SELECT coalesce(max(seq), 0) AS n FROM upkeep_lv_event UNION ALL
	SELECT coalesce((SELECT e.version FROM upkeep_lv_event e ORDER BY e.seq DESC LIMIT 1), 0)) AS given;

INSERT INTO upkeep_lv_event (seq, time_ms, tbl, kind, env, subject, actor, version, moved, strategy)
VALUES ({base}, {ms}, 0, '', CAST('' AS {bytes}), 0, CAST('' AS {bytes}), {base}, 0, '');
