#!lua
-- shared: keys wake
-- Sets or removes what is repeated. One that is set again as it was keeps its next time.
-- ARGV: name, plan ("" removes it), when it is due next (ms)
-- Returns 1 where that changed something.
local name, plan = ARGV[1], ARGV[2]
if plan == "" then
  redis.call("ZREM", repeating, name)
  return redis.call("HDEL", repeats, name)
end
if redis.call("HGET", repeats, name) == plan then
  return 0
end
redis.call("HSET", repeats, name, plan)
redis.call("ZADD", repeating, ARGV[3], name)
wake()
return 1
