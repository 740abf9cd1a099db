#!lua
-- shared: wake call_replies
-- keys: schedules schedule_times schedule_jobs wakeups | answers
-- Sets or removes a schedule. One that is set again unchanged keeps its next time.
-- ARGV: call number, name, serialized ("" removes it), when it is due next (ms)
-- Returns 1 where that changed something.
local call, name, serialized = ARGV[1], ARGV[2], ARGV[3]
local first = recall(call)
if first then
  return first
end
if serialized == "" then
  redis.call("ZREM", schedule_times, name)
  redis.call("HDEL", schedule_jobs, name)
  return remember(call, redis.call("HDEL", schedules, name))
end
if redis.call("HGET", schedules, name) == serialized then
  return remember(call, 0)
end
redis.call("HSET", schedules, name, serialized)
redis.call("ZADD", schedule_times, ARGV[4], name)
wake()
return remember(call, 1)
