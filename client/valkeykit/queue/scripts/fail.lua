#!lua flags=allow-oom
-- shared: keys clock wake count fence bury
-- Records failed attempts, where the worker still holds the jobs.
-- ARGV: worker, then for each job: id, attempt, delay until the next (ms; -1: no more), error
-- Returns the ids of those that it no longer held.
local worker, ids, attempts, plans = ARGV[1], {}, {}, {}
for i = 2, #ARGV, 4 do
  ids[#ids + 1], attempts[#attempts + 1] = ARGV[i], ARGV[i + 1]
  plans[ARGV[i]] = { attempt = ARGV[i + 1], delay = tonumber(ARGV[i + 2]), error = ARGV[i + 3] }
end

local mine, lost = held(worker, ids, attempts)
for _, id in ipairs(mine) do
  local plan = plans[id]
  if plan.delay < 0 then
    bury(id, plan.error)
  else
    redis.call("ZREM", leases, id)
    redis.call("HDEL", cancelled, id)
    redis.call("HSET", active, id, plan.attempt .. " -")
    redis.call("HSET", errors, id, plan.error)
    redis.call("ZADD", delayed, now + plan.delay, id)
    count("retried", 1)
  end
end
if #mine > 0 then
  wake()
end
return lost
