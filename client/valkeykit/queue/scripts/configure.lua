#!lua flags=allow-oom
-- shared: keys clock wake
-- Pauses, resumes or limits the queue.
-- ARGV: "paused", 1 or 0; or "rate", jobs, period (ms); jobs 0 = no limit
if ARGV[1] == "paused" and ARGV[2] == "1" then
  redis.call("HSET", config, "paused", "1")
elseif ARGV[1] == "paused" then
  redis.call("HDEL", config, "paused")
elseif ARGV[2] == "0" then
  redis.call("HDEL", config, "rate", "period", "tokens", "refilled")
else
  redis.call("HSET", config, "rate", ARGV[2], "period", ARGV[3], "tokens", ARGV[2], "refilled", now)
end
wake()
