#!lua flags=allow-oom
-- shared: wake
-- keys: config starts wakeups
-- Pauses, resumes or limits the queue.
-- ARGV: "paused", 1 or 0; "rate", jobs, period (ms), jobs 0 = no limit; "dead", how many ("" = all), their age (ms; "" = any)
local what, first, second = ARGV[1], ARGV[2], ARGV[3]
if what == "paused" and first == "1" then
  redis.call("HSET", config, "paused", "1")
elseif what == "paused" then
  redis.call("HDEL", config, "paused")
elseif what == "rate" and first == "0" then
  redis.call("HDEL", config, "rate", "period")
  redis.call("DEL", starts)
elseif what == "rate" then
  redis.call("HSET", config, "rate", first, "period", second)
  redis.call("LTRIM", starts, 0, first - 1)
else
  for field, value in pairs({ dead_count = first, dead_age = second }) do
    if value == "" then
      redis.call("HDEL", config, field)
    else
      redis.call("HSET", config, field, value)
    end
  end
end
wake()
