#!lua flags=allow-oom
-- shared: keys clock waiting count header fence forget
-- Cancels a job. One that runs is marked, and its worker sees the mark when it renews the lease.
-- ARGV: id, worker and attempt (both "" for one that doesn't run)
-- Returns what it was: waiting, delayed, active; or missing.
local id, worker, attempt = ARGV[1], ARGV[2], ARGV[3]
local record = redis.call("HGET", jobs, id)
if not record then
  return "missing"
end
if worker ~= "" then
  if #held(worker, { id }, { attempt }) == 0 then
    return "missing"
  end
  redis.call("ZREM", leases, id)
  forget({ id })
  count("cancelled", 1)
  return "active"
end
if redis.call("ZSCORE", leases, id) then
  redis.call("HSET", cancelled, id, "1")
  return "active"
end

local was = "waiting"
if redis.call("ZREM", delayed, id) == 1 then
  was = "delayed"
elseif redis.call("ZREM", dead, id) == 1 then
  was = "dead"
elseif redis.call("LREM", suspect, 1, id) == 0 then
  redis.call("LREM", waiting((header(record))), 1, id)
end
forget({ id })
count("cancelled", 1)
return was
