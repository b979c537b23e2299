-- 0001: leases, and the journal of updates. Names are bytes.

-- One row for each item, never deleted: tokens only rise. A lease is live
-- while it has an owner and time left.
CREATE TABLE upkeep_update_lease (
	item        BLOB    PRIMARY KEY,
	owner       BLOB,             -- NULL: nobody
	token       INTEGER NOT NULL,
	boot        TEXT    NOT NULL, -- the boot that ends_us belongs to
	process     TEXT    NOT NULL, -- of the holder
	ends_us     INTEGER NOT NULL, -- by the clock of that boot, microseconds
	ttl_us      INTEGER NOT NULL,
	acquired_ms INTEGER NOT NULL, -- Unix milliseconds, for people
	expires_ms  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE upkeep_update_run (
	n          INTEGER PRIMARY KEY, -- in the order of creation
	id         BLOB    NOT NULL UNIQUE,
	package    BLOB    NOT NULL,
	item       BLOB    NOT NULL,
	request_id BLOB,                -- NULL: none
	token      INTEGER NOT NULL,
	live       INTEGER NOT NULL,    -- 1 while the run is not done
	rev        INTEGER NOT NULL,
	created_ms INTEGER NOT NULL,
	updated_ms INTEGER NOT NULL,
	ended_ms   INTEGER NOT NULL,    -- 0: not yet
	request    TEXT    NOT NULL,    -- JSON, never changes
	detail     TEXT    NOT NULL     -- JSON
) STRICT;

CREATE INDEX upkeep_update_run_fence ON upkeep_update_run (item, token);
CREATE INDEX upkeep_update_run_package ON upkeep_update_run (package, n);
CREATE INDEX upkeep_update_run_live ON upkeep_update_run (n) WHERE live = 1;
CREATE UNIQUE INDEX upkeep_update_run_request ON upkeep_update_run (request_id, package)
	WHERE request_id IS NOT NULL;

CREATE TABLE upkeep_update_step (
	run    INTEGER NOT NULL, -- number of the run
	n      INTEGER NOT NULL,
	record TEXT    NOT NULL, -- JSON
	PRIMARY KEY (run, n)
) STRICT, WITHOUT ROWID;

CREATE TABLE upkeep_update_event (
	seq     INTEGER PRIMARY KEY, -- without a gap; the newest is never deleted
	time_ms INTEGER NOT NULL,
	run     BLOB    NOT NULL,    -- id of the run
	record  TEXT    NOT NULL     -- JSON
) STRICT;
