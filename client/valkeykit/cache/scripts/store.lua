#!lua
-- shared:
-- Releases a lease and stores the computed value. Does nothing if the key was deleted meanwhile (no lease), or if
-- another caller took over (its lease).
-- KEYS: entry, lease. ARGV: token, entry ("" stores nothing), time to live (ms, 0: no expiry)
if redis.call("GET", KEYS[2]) ~= ARGV[1] then
  return 0
end
redis.call("DEL", KEYS[2])
if ARGV[2] ~= "" then
  if ARGV[3] == "0" then
    redis.call("SET", KEYS[1], ARGV[2])
  else
    redis.call("SET", KEYS[1], ARGV[2], "PX", ARGV[3])
  end
end
return 1
