#!lua flags=no-writes
-- shared: keys clock waiting
-- Counts of the queue, as a flat list of names and numbers.
local lines, oldest = 0, nil
local heads = {}
for priority = 0, 9 do
  lines = lines + redis.call("LLEN", waiting(priority))
  heads[#heads + 1] = redis.call("LINDEX", waiting(priority), 0)
end
lines = lines + redis.call("LLEN", suspect)
heads[#heads + 1] = redis.call("LINDEX", suspect, 0)
for _, id in pairs(heads) do
  local created = id and tonumber(string.match(redis.call("HGET", jobs, id) or "", "^%d+"))
  if created and (not oldest or created < oldest) then
    oldest = created
  end
end

local function rate(what)
  local minute = math.floor(now / 60000)
  return redis.call("GET", base .. ":rate:" .. what .. ":" .. minute - 1) or 0
end

local totals = redis.call("HMGET", stats, "completed", "failed", "retried", "lost", "cancelled")
return {
  "waiting", lines,
  "active", redis.call("ZCARD", leases),
  "delayed", redis.call("ZCARD", delayed),
  "dead", redis.call("ZCARD", dead),
  "completed", totals[1] or 0,
  "failed", totals[2] or 0,
  "retried", totals[3] or 0,
  "lost", totals[4] or 0,
  "cancelled", totals[5] or 0,
  "completed_last_minute", rate("completed"),
  "failed_last_minute", rate("failed"),
  "oldest_ms", oldest and now - oldest or 0,
  "paused", redis.call("HEXISTS", config, "paused"),
}
