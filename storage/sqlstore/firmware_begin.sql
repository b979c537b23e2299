-- lock: events
-- The greatest number that was given, to an event of any device.
SELECT coalesce(max(seq), 0) FROM upkeep_firmware_event;

-- Devices that are not there yet begin at the base by themselves.
INSERT INTO upkeep_firmware_event (device, seq, time_ms, run, record)
SELECT device, {base}, {ms}, CAST('' AS {bytes}), '' FROM upkeep_firmware_device;
