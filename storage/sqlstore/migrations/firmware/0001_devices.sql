-- 0001: devices, their runs and events. Names are bytes.
-- oldest: 0001

CREATE TABLE upkeep_firmware_device (
	device  {bytes} PRIMARY KEY,
	rev     {int}   NOT NULL,
	token   {int}   NOT NULL,
	run     {bytes},          -- id of the run of the record; NULL: none
	catalog TEXT    NOT NULL, -- SHA-256 of what is in upkeep_firmware_catalog
	detail  TEXT    NOT NULL  -- JSON
) {keyed};

-- What is large and seldom changes, so that a save leaves it alone.
CREATE TABLE upkeep_firmware_catalog (
	device {bytes} PRIMARY KEY,
	record TEXT    NOT NULL -- JSON
) {end};

CREATE TABLE upkeep_firmware_run (
	device     {bytes} NOT NULL,
	n          {int}   NOT NULL, -- in the order of the first saves
	id         {bytes} NOT NULL,
	request_id {bytes},          -- NULL: none
	live       {int}   NOT NULL, -- 1 while the run is not done
	seq        {int}   NOT NULL, -- of its first event; 0: it has none
	created_ms {int}   NOT NULL,
	updated_ms {int}   NOT NULL,
	ended_ms   {int}   NOT NULL, -- 0: not yet
	request    TEXT    NOT NULL, -- JSON, never changes
	detail     TEXT    NOT NULL, -- JSON
	PRIMARY KEY (device, n)
) {end};

CREATE UNIQUE INDEX upkeep_firmware_run_id ON upkeep_firmware_run (device, id);
CREATE UNIQUE INDEX upkeep_firmware_run_request ON upkeep_firmware_run (device, request_id)
	WHERE request_id IS NOT NULL;

CREATE TABLE upkeep_firmware_event (
	device  {bytes} NOT NULL,
	seq     {int}   NOT NULL, -- of the device, without a gap; the newest is never deleted
	time_ms {int}   NOT NULL,
	run     {bytes} NOT NULL, -- id of the run, or empty
	record  TEXT    NOT NULL, -- JSON
	PRIMARY KEY (device, seq)
) {keyed};
