#!lua
-- shared:
-- A value, or the right to compute it.
-- KEYS: entry, lease. ARGV: token, lease (ms), stale (ms: how long before its end an entry counts as stale)
-- Returns the entry (or nil) and what to do: fresh, compute or wait.
local entry = redis.call("GET", KEYS[1])
if entry and redis.call("PTTL", KEYS[1]) > tonumber(ARGV[3]) then
  return { entry, "fresh" }
end
if redis.call("SET", KEYS[2], ARGV[1], "NX", "PX", ARGV[2]) then
  return { entry, "compute" }
end
return { entry, "wait" }
