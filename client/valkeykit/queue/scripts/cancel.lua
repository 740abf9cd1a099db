#!lua flags=allow-oom
-- shared: clock count header delete_jobs free_key end_cancelled call_replies
-- keys: jobs active leases suspect dead errors traces progress cancelled losses started unique unique_ends stats minutes delayed* waiting* | answers
-- Cancels a job. One that runs is marked, and its worker sees the mark when it renews the lease.
-- ARGV: call number, id
-- Returns what it was: waiting, delayed, active, dead; or missing.
local call, id = ARGV[1], ARGV[2]
local first = recall(call)
if first then
  return first
end
local record = redis.call("HGET", jobs, id)
if not record then
  return remember(call, "missing")
end
if redis.call("ZSCORE", leases, id) then
  redis.call("HSET", cancelled, id, "1")
  return remember(call, "active")
end

local was = "waiting"
local priority = header(record)
if redis.call("ZREM", delayed(priority), id) == 1 then
  was = "delayed"
elseif redis.call("ZREM", dead, id) == 1 then
  was = "dead"
elseif redis.call("LREM", suspect, 1, id) == 0 then
  redis.call("LREM", waiting(priority), 1, id)
end
end_cancelled(id)
return remember(call, was)
