-- 0002: versions of rows, and what is published of them. Names, and texts of
-- people, are bytes. The empty environment is production.

CREATE TABLE upkeep_lv_table (
	id     BIGINT  PRIMARY KEY,
	app    BYTEA   NOT NULL,
	schema BYTEA   NOT NULL,
	UNIQUE (app, schema)
);

-- Never deleted. The state compares the working row with production: 1 both
-- show the same, 2 the working row shows something else, 3 only production
-- shows the row, 4 neither does.
CREATE TABLE upkeep_lv_row (
	tbl        BIGINT  NOT NULL,
	name       BYTEA   NOT NULL,
	created_ms BIGINT  NOT NULL, -- Unix milliseconds, like all times
	state      BIGINT  NOT NULL,
	working    BIGINT  NOT NULL, -- version
	live       BIGINT  NOT NULL, -- version that production points at; 0: none
	PRIMARY KEY (tbl, name)
);

CREATE INDEX upkeep_lv_row_state ON upkeep_lv_row (tbl, state, name);

-- Where grays point. A row stays when it points at nothing any more: reading
-- the past begins here.
CREATE TABLE upkeep_lv_gray (
	tbl     BIGINT  NOT NULL,
	env     BYTEA   NOT NULL,
	name    BYTEA   NOT NULL,
	version BIGINT  NOT NULL, -- 0: none
	PRIMARY KEY (tbl, env, name)
);

CREATE INDEX upkeep_lv_gray_version ON upkeep_lv_gray (version) WHERE version > 0;

-- Production, and the grays that somebody has published to.
CREATE TABLE upkeep_lv_env (
	tbl  BIGINT  NOT NULL,
	name BYTEA   NOT NULL,
	PRIMARY KEY (tbl, name)
);

-- Ids are counted in upkeep_lv_event. A forgotten version stays until no event
-- that is kept tells of it, and while another has its content.
CREATE TABLE upkeep_lv_version (
	id        BIGINT  PRIMARY KEY,
	tbl       BIGINT  NOT NULL,
	name      BYTEA   NOT NULL,
	op        TEXT    NOT NULL,
	source    BIGINT  NOT NULL, -- version that a rollback went back to; 0: none
	parent    BIGINT  NOT NULL, -- the working version before; 0: none
	body      BIGINT  NOT NULL, -- version that has the content; 0: a deletion
	seq       BIGINT  NOT NULL, -- of its event
	time_ms   BIGINT  NOT NULL,
	forgotten BIGINT  NOT NULL, -- the events before this one may tell of it; 0: not forgotten
	digest    BYTEA,            -- of the canonical content; NULL: a deletion
	actor     BYTEA   NOT NULL,
	descr     BYTEA   NOT NULL,
	request   BYTEA   NOT NULL,
	content   BYTEA             -- last: the others are read without it
);

CREATE INDEX upkeep_lv_version_row ON upkeep_lv_version (tbl, name, id);
CREATE INDEX upkeep_lv_version_table ON upkeep_lv_version (tbl, id);
CREATE INDEX upkeep_lv_version_body ON upkeep_lv_version (body) WHERE source > 0;
CREATE INDEX upkeep_lv_version_forgotten ON upkeep_lv_version (forgotten) WHERE forgotten > 0;

-- The id is the seq of the event that planned it.
CREATE TABLE upkeep_lv_release (
	tbl        BIGINT  NOT NULL,
	id         BIGINT  NOT NULL,
	env        BYTEA   NOT NULL,
	state      TEXT    NOT NULL,
	rev        BIGINT  NOT NULL,
	seq        BIGINT  NOT NULL, -- of the event that applied it; 0: not applied
	changed    BIGINT  NOT NULL, -- seq of its last event
	reverts    BIGINT  NOT NULL,
	at_ms      BIGINT  NOT NULL, -- 0: none
	created_ms BIGINT  NOT NULL,
	applied_ms BIGINT  NOT NULL, -- 0: not applied
	actor      BYTEA   NOT NULL,
	approver   BYTEA   NOT NULL,
	descr      BYTEA   NOT NULL,
	PRIMARY KEY (tbl, id)
);

CREATE INDEX upkeep_lv_release_changed ON upkeep_lv_release (tbl, changed) WHERE changed <> id;
CREATE INDEX upkeep_lv_release_state ON upkeep_lv_release (tbl, state, id) WHERE state <> 'applied';

-- What releases change, and the log of all pointers.
CREATE TABLE upkeep_lv_change (
	release      BIGINT  NOT NULL,
	n            BIGINT  NOT NULL,
	tbl          BIGINT  NOT NULL,
	env          BYTEA   NOT NULL,
	name         BYTEA   NOT NULL,
	from_version BIGINT  NOT NULL, -- 0: none, or not applied
	to_version   BIGINT  NOT NULL, -- 0: none
	expect       BIGINT,           -- NULL: anything
	moved        BIGINT  NOT NULL, -- seq of the event that moved the pointer; 0: it did not move
	PRIMARY KEY (release, n)
);

-- What a release moved when it was made is found by its pointer, all else by
-- its row.
CREATE INDEX upkeep_lv_change_pointer
	ON upkeep_lv_change (tbl, env, name, moved, from_version, to_version, release) WHERE moved > 0;
CREATE INDEX upkeep_lv_change_row ON upkeep_lv_change (tbl, name, release) WHERE moved <> release;
CREATE INDEX upkeep_lv_change_plan ON upkeep_lv_change (to_version) WHERE moved = 0;

-- The id is the seq of the event that made it.
CREATE TABLE upkeep_lv_strategy (
	id       BIGINT  PRIMARY KEY,
	tbl      BIGINT  NOT NULL,
	target   BIGINT  NOT NULL, -- version
	priority BIGINT  NOT NULL,
	deleted  BIGINT  NOT NULL, -- 1: it is
	rev      BIGINT  NOT NULL,
	seq      BIGINT  NOT NULL, -- of its last event
	record   TEXT    NOT NULL  -- JSON
);

CREATE INDEX upkeep_lv_strategy_order ON upkeep_lv_strategy (tbl, priority, id) WHERE deleted = 0;
CREATE INDEX upkeep_lv_strategy_seq ON upkeep_lv_strategy (tbl, seq);
CREATE INDEX upkeep_lv_strategy_target ON upkeep_lv_strategy (target) WHERE deleted = 0;

-- The rows that an event tells of are the versions that have its seq, or the
-- changes that moved with it.
CREATE TABLE upkeep_lv_event (
	seq      BIGINT  PRIMARY KEY, -- without a gap; the newest is never deleted
	time_ms  BIGINT  NOT NULL,
	tbl      BIGINT  NOT NULL,
	kind     TEXT    NOT NULL,
	env      BYTEA   NOT NULL,
	subject  BIGINT  NOT NULL, -- release or strategy; 0: none
	actor    BYTEA   NOT NULL,
	version  BIGINT  NOT NULL, -- the last id given in the store
	moved    BIGINT  NOT NULL, -- how many rows it tells of
	strategy TEXT    NOT NULL  -- JSON; '': none
);

-- The first answer to a request.
CREATE TABLE upkeep_lv_request (
	tbl    BIGINT  NOT NULL,
	id     BYTEA   NOT NULL,
	answer TEXT    NOT NULL, -- JSON
	PRIMARY KEY (tbl, id)
);
