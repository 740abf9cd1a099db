#!lua
-- shared:
-- Gives a lease back, and stores what was computed. A lease that is gone means that the key was deleted meanwhile,
-- one of another caller that this one did not renew it in time.
-- KEYS: entry, lease. ARGV: token, entry ("" stores nothing), time to live (ms, 0 for ever)
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
