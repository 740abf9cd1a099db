#!lua
-- shared:
-- Stores what was computed, unless the lease is gone: then the key was deleted meanwhile, or it took too long.
-- KEYS: entry, lease. ARGV: token, entry ("" stores nothing), time to live (ms)
if redis.call("GET", KEYS[2]) ~= ARGV[1] then
  return 0
end
redis.call("DEL", KEYS[2])
if ARGV[2] ~= "" then
  redis.call("SET", KEYS[1], ARGV[2], "PX", ARGV[3])
end
return 1
