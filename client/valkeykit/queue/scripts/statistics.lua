#!lua flags=no-writes
-- shared: clock
-- keys: config jobs leases suspect dead stats minutes delayed* waiting*
-- Counts of the queue, as a flat list of names and numbers.
local lines, later, due, oldest = redis.call("LLEN", suspect), 0, 0, nil
local heads = { redis.call("LINDEX", suspect, 0) or nil }
for priority = 0, 9 do
  lines = lines + redis.call("LLEN", waiting(priority))
  later = later + redis.call("ZCARD", delayed(priority))
  due = due + redis.call("ZCOUNT", delayed(priority), "-inf", now)
  heads[#heads + 1] = redis.call("LINDEX", waiting(priority), 0) or nil
end
for _, id in ipairs(heads) do
  local created = tonumber(string.match(redis.call("HGET", jobs, id) or "", "^v%d+ (%d+)"))
  if created and (not oldest or created < oldest) then
    oldest = created
  end
end

local function rate(what)
  local minute = math.floor(now / 60000) - 1
  local begun, number = string.match(redis.call("HGET", minutes, what .. ":" .. minute % 60) or "", "^(%d+) (%d+)$")
  return tonumber(begun) == minute and tonumber(number) or 0
end

local totals = redis.call("HMGET", stats, "completed", "failed", "retried", "lost", "cancelled", "run_ms")
return {
  "waiting", lines,
  "active", redis.call("ZCARD", leases),
  "delayed", later,
  "dead", redis.call("ZCARD", dead),
  "completed", totals[1] or 0,
  "failed", totals[2] or 0,
  "retried", totals[3] or 0,
  "lost", totals[4] or 0,
  "cancelled", totals[5] or 0,
  "completed_last_minute", rate("completed"),
  "failed_last_minute", rate("failed"),
  "oldest_ms", oldest and math.max(0, now - oldest) or 0,
  "due", due,
  "run_ms", totals[6] or 0,
  "paused", redis.call("HEXISTS", config, "paused"),
}
