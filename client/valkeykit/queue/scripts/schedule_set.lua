#!lua
-- shared: wake call_replies
-- keys: repeats repeating repeat_jobs wakeups | answers
-- Sets or removes what is repeated. One that is set again as it was keeps its next time.
-- ARGV: call number, name, plan ("" removes it), when it is due next (ms)
-- Returns 1 where that changed something.
local call, name, plan = ARGV[1], ARGV[2], ARGV[3]
local first = recall(call)
if first then
  return first
end
if plan == "" then
  redis.call("ZREM", repeating, name)
  redis.call("HDEL", repeat_jobs, name)
  return remember(call, redis.call("HDEL", repeats, name))
end
if redis.call("HGET", repeats, name) == plan then
  return remember(call, 0)
end
redis.call("HSET", repeats, name, plan)
redis.call("ZADD", repeating, ARGV[4], name)
wake()
return remember(call, 1)
