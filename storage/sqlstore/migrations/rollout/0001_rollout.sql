-- 0001: services, their rollouts and events, and started replicas. Names are bytes.
-- oldest: 0001

CREATE TABLE upkeep_rollout_service (
	env        {bytes} NOT NULL,
	name       {bytes} NOT NULL,
	rev        {int}   NOT NULL, -- 0: there are runs, and no record yet
	token      {int}   NOT NULL, -- of the record
	fence      {int}   NOT NULL, -- the greatest token that wrote, with a run too
	updated_ms {int}   NOT NULL,
	detail     TEXT    NOT NULL, -- JSON
	PRIMARY KEY (env, name)
) {end};

CREATE TABLE upkeep_rollout_run (
	n          {int}   PRIMARY KEY, -- in the order of creation
	id         {bytes} NOT NULL UNIQUE,
	env        {bytes} NOT NULL,
	name       {bytes} NOT NULL,
	request_id {bytes},             -- NULL: none
	state      {bytes} NOT NULL,
	live       {int}   NOT NULL,    -- 1 while the run is not done
	token      {int}   NOT NULL,
	rev        {int}   NOT NULL,
	seq        {int}   NOT NULL,    -- of its first event; 0: it has none
	created_ms {int}   NOT NULL,
	updated_ms {int}   NOT NULL,
	ended_ms   {int}   NOT NULL,    -- 0: not yet
	request    TEXT    NOT NULL,    -- JSON, never changes
	detail     TEXT    NOT NULL     -- JSON
) {end};

CREATE UNIQUE INDEX upkeep_rollout_run_live ON upkeep_rollout_run (env, name) WHERE live = 1;
CREATE UNIQUE INDEX upkeep_rollout_run_request ON upkeep_rollout_run (request_id, env, name)
	WHERE request_id IS NOT NULL;
CREATE INDEX upkeep_rollout_run_service ON upkeep_rollout_run (env, name, n);
-- One service has one live run: all live ones are few. What is done is listed by
-- its state, which does not change any more.
CREATE INDEX upkeep_rollout_run_lives ON upkeep_rollout_run (n) WHERE live = 1;
CREATE INDEX upkeep_rollout_run_done ON upkeep_rollout_run (state, n) WHERE live = 0;
CREATE INDEX upkeep_rollout_run_done_of ON upkeep_rollout_run (env, name, state, n) WHERE live = 0;

CREATE TABLE upkeep_rollout_event (
	seq     {int}   PRIMARY KEY, -- without a gap; the newest is never deleted
	time_ms {int}   NOT NULL,
	run     {bytes} NOT NULL,    -- id of the run, or empty
	record  TEXT    NOT NULL     -- JSON
) {end};

CREATE TABLE upkeep_rollout_instance (
	host   {bytes} NOT NULL,
	id     {bytes} NOT NULL,
	record TEXT    NOT NULL, -- JSON
	PRIMARY KEY (host, id)
) {end};
