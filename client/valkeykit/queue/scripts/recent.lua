#!lua flags=no-writes
-- keys: recent
-- Completed jobs, the latest first.
-- ARGV: how many elements at most
-- Returns texts: when they were completed (ms), then a line for each.
return redis.call("LRANGE", recent, 0, ARGV[1] - 1)
