#!lua flags=allow-oom
-- shared: clock wake count header fence delete_jobs free_key end_cancelled
-- keys: jobs active leases suspect errors traces progress cancelled losses started unique unique_ends stats minutes wakeups delayed* waiting*
-- Gives back jobs that have not run; the attempt doesn't count.
-- ARGV: worker, delay (ms; 0: to the head of the line), then for each job: id, attempt
local worker, delay, ids, attempts, attempt_of = ARGV[1], tonumber(ARGV[2]), {}, {}, {}
for i = 3, #ARGV, 2 do
  ids[#ids + 1], attempts[#attempts + 1] = ARGV[i], ARGV[i + 1]
  attempt_of[ARGV[i]] = tonumber(ARGV[i + 1])
end

local mine = held(worker, ids, attempts)
for i = #mine, 1, -1 do
  local id = mine[i]
  if redis.call("HEXISTS", cancelled, id) == 1 then
    end_cancelled(id)
  else
    local before = attempt_of[id] - 1
    local priority = header(redis.call("HGET", jobs, id))
    redis.call("ZREM", leases, id)
    redis.call("HDEL", started, id)
    if before == 0 then
      redis.call("HDEL", active, id)
    else
      redis.call("HSET", active, id, before .. " -")
    end
    if delay > 0 then
      redis.call("ZADD", delayed(priority), now + delay, id)
    else
      redis.call("LPUSH", waiting(priority), id)
    end
  end
end
if #mine > 0 then
  wake()
end
return #mine
