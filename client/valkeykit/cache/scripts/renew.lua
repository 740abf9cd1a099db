#!lua
-- shared:
-- Lets a lease last from now on.
-- KEYS: entry, lease. ARGV: token, lease and the time that it is remembered (ms)
-- Returns 0 where the lease is gone or another caller's.
if redis.call("GET", KEYS[2]) ~= ARGV[1] then
  return 0
end
return redis.call("PEXPIRE", KEYS[2], ARGV[2])
