#!lua
-- shared:
-- A value, or the right to compute it.
-- KEYS: entry, lease. ARGV: token, lease (ms), for how long an expired lease is kept (ms), stale period that the
-- caller accepts (ms)
-- Returns the entry, unless it is too old for the caller, and one of: fresh, compute, wait.
local entry = redis.call("GET", KEYS[1])
if entry then
  local left, stale = redis.call("PTTL", KEYS[1]), 0
  if #entry > 9 and string.byte(entry) == 4 then
    stale = struct.unpack(">I8", string.sub(entry, 2, 9))
  end
  if left < 0 or left > stale then
    return { entry, "fresh" }
  end
  if stale - left > tonumber(ARGV[4]) then
    entry = false
  end
end
local holder = redis.call("GET", KEYS[2])
if holder and holder ~= ARGV[1] and redis.call("PTTL", KEYS[2]) > tonumber(ARGV[3]) then
  return { entry, "wait" }
end
redis.call("SET", KEYS[2], ARGV[1], "PX", ARGV[2] + ARGV[3])
return { entry, "compute" }
