-- 0001: leases, and the journal of updates. Names are bytes.

-- One row for each item, never deleted: tokens only rise. A lease is live
-- while it has an owner and time left.
CREATE TABLE upkeep_update_lease (
	item        BYTEA  PRIMARY KEY,
	owner       BYTEA,           -- NULL: nobody
	token       BIGINT NOT NULL,
	boot        TEXT   NOT NULL, -- boot and process have no meaning here
	process     TEXT   NOT NULL,
	ends_us     BIGINT NOT NULL, -- by the server's clock, Unix microseconds
	ttl_us      BIGINT NOT NULL,
	acquired_ms BIGINT NOT NULL, -- Unix milliseconds, for people
	expires_ms  BIGINT NOT NULL
);

CREATE TABLE upkeep_update_run (
	n          BIGINT PRIMARY KEY, -- in the order of creation
	id         BYTEA   NOT NULL UNIQUE,
	package    BYTEA   NOT NULL,
	item       BYTEA   NOT NULL,
	request_id BYTEA,              -- NULL: none
	token      BIGINT  NOT NULL,
	live       INTEGER NOT NULL,   -- 1 while the run is not done
	rev        BIGINT  NOT NULL,
	created_ms BIGINT  NOT NULL,
	updated_ms BIGINT  NOT NULL,
	ended_ms   BIGINT  NOT NULL,   -- 0: not yet
	request    TEXT    NOT NULL,   -- JSON, never changes
	detail     TEXT    NOT NULL    -- JSON
);

CREATE INDEX upkeep_update_run_fence ON upkeep_update_run (item, token);
CREATE INDEX upkeep_update_run_package ON upkeep_update_run (package, n);
CREATE INDEX upkeep_update_run_live ON upkeep_update_run (n) WHERE live = 1;
CREATE UNIQUE INDEX upkeep_update_run_request ON upkeep_update_run (request_id, package)
	WHERE request_id IS NOT NULL;

CREATE TABLE upkeep_update_step (
	run    BIGINT NOT NULL, -- number of the run
	n      BIGINT NOT NULL,
	record TEXT   NOT NULL, -- JSON
	PRIMARY KEY (run, n)
);

CREATE TABLE upkeep_update_event (
	seq     BIGINT PRIMARY KEY, -- without a gap; the newest is never deleted
	time_ms BIGINT NOT NULL,
	run     BYTEA  NOT NULL,    -- id of the run
	record  TEXT   NOT NULL     -- JSON
);
