-- 0001: what devices note of folders, and remotes. Names are bytes.
-- oldest: 0001

CREATE TABLE upkeep_sync_folder (
	folder {bytes} PRIMARY KEY,
	token  {int}   NOT NULL -- the greatest that has written
) {keyed};

CREATE TABLE upkeep_sync_entry (
	folder    {bytes} NOT NULL,
	entry_key {bytes} NOT NULL,
	value     {bytes} NOT NULL,
	PRIMARY KEY (folder, entry_key)
) {end};

CREATE TABLE upkeep_sync_event (
	folder  {bytes} NOT NULL,
	seq     {int}   NOT NULL, -- of the folder, without a gap; the newest is never deleted
	time_ms {int}   NOT NULL,
	run     {bytes} NOT NULL, -- id of the run, or empty
	record  TEXT    NOT NULL, -- JSON
	PRIMARY KEY (folder, seq)
) {keyed};

CREATE TABLE upkeep_sync_remote (
	id         {int}   PRIMARY KEY, -- random, so that none comes again
	name       {bytes},             -- NULL: removed
	folded     {bytes},             -- what is the same for names that are one; NULL: nobody created it
	removed_ms {int}   NOT NULL     -- 0: it is there
) {keyed};

CREATE UNIQUE INDEX upkeep_sync_remote_name ON upkeep_sync_remote (name) WHERE name IS NOT NULL;
CREATE UNIQUE INDEX upkeep_sync_remote_folded ON upkeep_sync_remote (folded) WHERE folded IS NOT NULL;
CREATE INDEX upkeep_sync_remote_removed ON upkeep_sync_remote (removed_ms) WHERE removed_ms > 0;

CREATE TABLE upkeep_sync_object (
	remote  {int}   NOT NULL,
	name    {bytes} NOT NULL,
	body    {int}   NOT NULL, -- random, so that none comes again
	size    {int}   NOT NULL, -- bytes
	time_ms {int}   NOT NULL,
	PRIMARY KEY (remote, name)
) {keyed};

-- Bodies in pieces of 256 KiB, of which the last one may be shorter.
CREATE TABLE upkeep_sync_piece (
	body    {int}   NOT NULL,
	n       {int}   NOT NULL, -- from 0
	content {bytes} NOT NULL,
	PRIMARY KEY (body, n)
) {end};

-- Bodies that have pieces and are no object's: not yet, or not any more.
CREATE TABLE upkeep_sync_loose (
	body       {int} PRIMARY KEY,
	touched_ms {int} NOT NULL -- when a piece was written; 0: it may go
) {keyed};

CREATE INDEX upkeep_sync_loose_touched ON upkeep_sync_loose (touched_ms);
