#!lua flags=no-writes
-- shared: clock
-- keys: minutes
-- Returns now (ms), then the ring of the last 60 minutes as it is stored.
return { now, unpack(redis.call("HGETALL", minutes)) }
