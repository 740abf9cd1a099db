#!lua
-- shared:
-- Renews a lease.
-- KEYS: entry, lease. ARGV: token, lease plus the time for which an expired one is kept (ms)
-- Returns 0 if the lease was deleted or taken over.
if redis.call("GET", KEYS[2]) ~= ARGV[1] then
  return 0
end
return redis.call("PEXPIRE", KEYS[2], ARGV[2])
