#!lua
-- shared: clock wake
-- keys: jobs dead schedule_times schedule_jobs wakeups | line
-- Adds the job of a schedule, if no other worker has: the due time is the fence.
-- ARGV: name, due (ms), next (ms), 1 where its jobs may overlap, spec line, id, payload
local name, id = ARGV[1], ARGV[6]
if redis.call("ZSCORE", schedule_times, name) ~= ARGV[2] then
  return 0
end
redis.call("ZADD", schedule_times, ARGV[3], name)
local last = redis.call("HGET", schedule_jobs, name)
if ARGV[4] == "0" and last and redis.call("HEXISTS", jobs, last) == 1 and not redis.call("ZSCORE", dead, last) then
  return 0
end
if redis.call("HSETNX", jobs, id, string.format("v1 %.0f - ", now) .. ARGV[5] .. "\n" .. ARGV[7]) == 1 then
  redis.call("RPUSH", line, id)
  redis.call("HSET", schedule_jobs, name, id)
  wake()
end
return 1
