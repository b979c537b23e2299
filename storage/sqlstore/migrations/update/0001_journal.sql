-- 0001: the journal of updates. Names are bytes.
-- oldest: 0001

CREATE TABLE upkeep_update_run (
	n          {int}   PRIMARY KEY, -- in the order of creation
	id         {bytes} NOT NULL UNIQUE,
	package    {bytes} NOT NULL,
	item       {bytes} NOT NULL,
	request_id {bytes},             -- NULL: none
	token      {int}   NOT NULL,
	live       {int}   NOT NULL,    -- 1 while the run is not done
	rev        {int}   NOT NULL,
	seq        {int}   NOT NULL,    -- of its first event; 0: it has none
	created_ms {int}   NOT NULL,
	updated_ms {int}   NOT NULL,
	ended_ms   {int}   NOT NULL,    -- 0: not yet
	request    TEXT    NOT NULL,    -- JSON, never changes
	detail     TEXT    NOT NULL     -- JSON
) {end};

CREATE INDEX upkeep_update_run_fence ON upkeep_update_run (item, token);
CREATE INDEX upkeep_update_run_package ON upkeep_update_run (package, n);
CREATE INDEX upkeep_update_run_live ON upkeep_update_run (n) WHERE live = 1;
CREATE UNIQUE INDEX upkeep_update_run_request ON upkeep_update_run (request_id, package)
	WHERE request_id IS NOT NULL;

CREATE TABLE upkeep_update_step (
	run    {int} NOT NULL, -- number of the run
	n      {int} NOT NULL,
	record TEXT  NOT NULL, -- JSON
	PRIMARY KEY (run, n)
) {keyed};

CREATE TABLE upkeep_update_event (
	seq     {int}   PRIMARY KEY, -- without a gap; the newest is never deleted
	time_ms {int}   NOT NULL,
	run     {bytes} NOT NULL,    -- id of the run
	record  TEXT    NOT NULL     -- JSON
) {end};
