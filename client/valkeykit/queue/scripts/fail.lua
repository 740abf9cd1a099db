#!lua flags=allow-oom
-- shared: clock wake count header fence delete_jobs free_key end_cancelled move_to_dead_letter report_replies
-- keys: config jobs active leases suspect dead errors traces progress cancelled losses started unique unique_ends stats minutes wakeups delayed* | report
-- Records failed attempts, where the worker still holds the jobs. One that was cancelled meanwhile ends.
-- ARGV: worker, number of the report, then for each job: id, attempt, delay until the next (ms; -1: no more), error, traceback
-- Returns two lists: the ids of those that it no longer held, and of those that were cancelled.
local worker, ids, attempts, plans = ARGV[1], {}, {}, {}
local first = recall_report(ARGV[2])
if first then
  return first
end
for i = 3, #ARGV, 5 do
  ids[#ids + 1], attempts[#attempts + 1] = ARGV[i], ARGV[i + 1]
  plans[ARGV[i]] = { attempt = ARGV[i + 1], delay = tonumber(ARGV[i + 2]), error = ARGV[i + 3], trace = ARGV[i + 4] }
end

local mine, gone = held(worker, ids, attempts)
local stopped = {}
for _, id in ipairs(mine) do
  local plan = plans[id]
  if redis.call("HEXISTS", cancelled, id) == 1 then
    end_cancelled(id)
    stopped[#stopped + 1] = id
  elseif plan.delay < 0 then
    move_to_dead_letter(id, plan.error, plan.trace)
  else
    local priority = header(redis.call("HGET", jobs, id))
    redis.call("ZREM", leases, id)
    redis.call("HSET", active, id, plan.attempt .. " -")
    redis.call("HSET", errors, id, plan.error)
    redis.call("ZADD", delayed(priority), now + plan.delay, id)
    count("retried", 1)
  end
end
if #mine > 0 then
  wake()
end
return remember_report(ARGV[2], { gone, stopped })
