-- 0001: versions of rows, and what is published of them. Names, and texts of
-- people, are bytes. The empty environment is production.
-- oldest: 0001

CREATE TABLE upkeep_lv_table (
	id     {int}   PRIMARY KEY,
	app    {bytes} NOT NULL,
	schema {bytes} NOT NULL,
	UNIQUE (app, schema)
) {end};

-- Never deleted. The state compares the working row with production: 1 both
-- show the same, 2 the working row shows something else. That of a deletion
-- says whether an environment or a strategy still shows the row: 3 one does, 4
-- none does.
CREATE TABLE upkeep_lv_row (
	tbl        {int}   NOT NULL,
	name       {bytes} NOT NULL,
	created_ms {int}   NOT NULL, -- Unix milliseconds, like all times
	state      {int}   NOT NULL,
	working    {int}   NOT NULL, -- version
	live       {int}   NOT NULL, -- version that production points at; 0: none
	PRIMARY KEY (tbl, name)
) {keyed};

CREATE INDEX upkeep_lv_row_state ON upkeep_lv_row (tbl, state, name);

-- Where grays point. A row stays when it points at nothing any more: reading
-- the past begins here.
CREATE TABLE upkeep_lv_gray (
	tbl     {int}   NOT NULL,
	env     {bytes} NOT NULL,
	name    {bytes} NOT NULL,
	version {int}   NOT NULL, -- 0: none
	PRIMARY KEY (tbl, env, name)
) {keyed};

CREATE INDEX upkeep_lv_gray_version ON upkeep_lv_gray (version) WHERE version > 0;

-- Production, and the grays that somebody has published to.
CREATE TABLE upkeep_lv_env (
	tbl  {int}   NOT NULL,
	name {bytes} NOT NULL,
	PRIMARY KEY (tbl, name)
) {keyed};

-- Ids are counted in upkeep_lv_event. A forgotten version stays until no event
-- that is kept tells of it, and while another has its content.
CREATE TABLE upkeep_lv_version (
	id        {int}   PRIMARY KEY,
	tbl       {int}   NOT NULL,
	name      {bytes} NOT NULL,
	op        TEXT    NOT NULL,
	source    {int}   NOT NULL, -- version that a rollback went back to; 0: none
	parent    {int}   NOT NULL, -- the working version before; 0: none
	body      {int}   NOT NULL, -- version that has the content; 0: a deletion
	seq       {int}   NOT NULL, -- of its event
	time_ms   {int}   NOT NULL,
	forgotten {int}   NOT NULL, -- the events before this one may tell of it; 0: not forgotten
	digest    {bytes},          -- of the canonical content; NULL: a deletion
	actor     {bytes} NOT NULL,
	descr     {bytes} NOT NULL,
	request   {bytes} NOT NULL,
	content   {bytes}           -- last: the others are read without it
) {end};

CREATE INDEX upkeep_lv_version_row ON upkeep_lv_version (tbl, name, id);
CREATE INDEX upkeep_lv_version_table ON upkeep_lv_version (tbl, id);
CREATE INDEX upkeep_lv_version_body ON upkeep_lv_version (body) WHERE source > 0;
CREATE INDEX upkeep_lv_version_forgotten ON upkeep_lv_version (forgotten) WHERE forgotten > 0;

-- The id is the seq of the event that planned it.
CREATE TABLE upkeep_lv_release (
	tbl        {int}   NOT NULL,
	id         {int}   NOT NULL,
	env        {bytes} NOT NULL,
	state      TEXT    NOT NULL,
	rev        {int}   NOT NULL,
	seq        {int}   NOT NULL, -- of the event that applied it; 0: not applied
	changed    {int}   NOT NULL, -- seq of its last event
	reverts    {int}   NOT NULL,
	at_ms      {int}   NOT NULL, -- 0: none
	created_ms {int}   NOT NULL,
	applied_ms {int}   NOT NULL, -- 0: not applied
	approver   {bytes} NOT NULL,
	actor      {bytes} NOT NULL, -- this and the next two: who made it
	descr      {bytes} NOT NULL,
	request    {bytes} NOT NULL,
	last_actor   {bytes},        -- this and the next two: who wrote it last; NULL: nobody since
	last_descr   {bytes},
	last_request {bytes},
	PRIMARY KEY (tbl, id)
) {keyed};

CREATE INDEX upkeep_lv_release_changed ON upkeep_lv_release (tbl, changed) WHERE changed <> id;
CREATE INDEX upkeep_lv_release_state ON upkeep_lv_release (tbl, state, id) WHERE state <> 'applied';

-- What releases change, and the log of all pointers.
CREATE TABLE upkeep_lv_change (
	release      {int}   NOT NULL,
	n            {int}   NOT NULL,
	tbl          {int}   NOT NULL,
	env          {bytes} NOT NULL,
	name         {bytes} NOT NULL,
	from_version {int}   NOT NULL, -- 0: none, or not applied
	to_version   {int}   NOT NULL, -- 0: none
	expect       {int},            -- NULL: anything
	moved        {int}   NOT NULL, -- seq of the event that moved the pointer; 0: it did not move
	PRIMARY KEY (release, n)
) {keyed};

-- What a release moved when it was made is found by its pointer, all else by
-- its row.
CREATE INDEX upkeep_lv_change_pointer
	ON upkeep_lv_change (tbl, env, name, moved, from_version, to_version, release) WHERE moved > 0;
CREATE INDEX upkeep_lv_change_row ON upkeep_lv_change (tbl, name, release) WHERE moved <> release;
CREATE INDEX upkeep_lv_change_plan ON upkeep_lv_change (to_version) WHERE moved = 0;

-- The id is the seq of the event that made it.
CREATE TABLE upkeep_lv_strategy (
	id       {int} PRIMARY KEY,
	tbl      {int} NOT NULL,
	target   {int} NOT NULL, -- version
	priority {int} NOT NULL,
	deleted  {int} NOT NULL, -- 1: it is
	rev      {int} NOT NULL,
	seq      {int} NOT NULL, -- of its last event
	record   TEXT  NOT NULL  -- JSON
) {end};

CREATE INDEX upkeep_lv_strategy_order ON upkeep_lv_strategy (tbl, priority, id) WHERE deleted = 0;
CREATE INDEX upkeep_lv_strategy_seq ON upkeep_lv_strategy (tbl, seq);
CREATE INDEX upkeep_lv_strategy_target ON upkeep_lv_strategy (target) WHERE deleted = 0;

-- The rows that an event tells of are the versions that have its seq, or the
-- changes that moved with it.
CREATE TABLE upkeep_lv_event (
	seq      {int}   PRIMARY KEY, -- without a gap; the newest is never deleted
	time_ms  {int}   NOT NULL,
	tbl      {int}   NOT NULL,
	kind     TEXT    NOT NULL,
	env      {bytes} NOT NULL,
	subject  {int}   NOT NULL,    -- release or strategy; 0: none
	actor    {bytes} NOT NULL,
	version  {int}   NOT NULL,    -- the last id given in the store
	moved    {int}   NOT NULL,    -- how many rows it tells of
	strategy TEXT    NOT NULL     -- JSON; '': none
) {end};

-- The first answer to a request.
CREATE TABLE upkeep_lv_request (
	tbl    {int}   NOT NULL,
	id     {bytes} NOT NULL,
	answer TEXT    NOT NULL, -- JSON
	PRIMARY KEY (tbl, id)
) {keyed};
