-- 0001: leases of every domain. Names are bytes.
-- oldest: 0001

-- One row for each item, never deleted: tokens only rise. A lease is live
-- while it has an owner and time left. Where the clock is a server's, boot and
-- process have no meaning.
CREATE TABLE upkeep_lease (
	item        {bytes} PRIMARY KEY,
	owner       {bytes},          -- NULL: nobody
	token       {int}   NOT NULL,
	boot        TEXT    NOT NULL, -- the boot that ends_us belongs to
	process     TEXT    NOT NULL, -- of the holder
	ends_us     {int}   NOT NULL, -- by the clock that judges leases, microseconds
	ttl_us      {int}   NOT NULL,
	acquired_ms {int}   NOT NULL, -- Unix milliseconds, for people
	expires_ms  {int}   NOT NULL
) {keyed};
