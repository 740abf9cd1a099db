#!lua
-- shared: clock wake dedupe call_replies
-- keys: jobs active leases dead errors traces progress cancelled losses started unique unique_ends wakeups | line seen answers result
-- Adds one job under an id that may exist, or under a key that may be taken, once. A dead letter makes way.
-- ARGV: call number, delay (ms), header, id, payload, key ("" for none), its window (ms)
-- Returns the id, and 1 where it was added; else that of the job that was there, and 0.
local call, delay, id, key = ARGV[1], tonumber(ARGV[2]), ARGV[4], ARGV[6]
if not first_time(call) then
  return recall(call) or { id, 1 }
end
if redis.call("EXISTS", result) == 1 then
  return remember(call, { id, 0 })
end
local is_dead = redis.call("ZSCORE", dead, id)
if redis.call("HEXISTS", jobs, id) == 1 and not is_dead then
  return remember(call, { id, 0 })
end
for _, over in ipairs(redis.call("ZRANGEBYSCORE", unique_ends, "-inf", now, "LIMIT", 0, 10)) do
  redis.call("ZREM", unique_ends, over)
  redis.call("HDEL", unique, over)
end
if key ~= "" then
  local holder, ends = redis.call("HGET", unique, key), redis.call("ZSCORE", unique_ends, key)
  if holder and ends and tonumber(ends) > now then
    return remember(call, { holder, 0 })
  end
  redis.call("HSET", unique, key, id)
  redis.call("ZADD", unique_ends, now + ARGV[7], key)
  key = "=" .. key
else
  key = "-"
end

if is_dead then
  redis.call("ZREM", dead, id)
  for _, hash in ipairs({ active, errors, traces, progress, cancelled, losses, started }) do
    redis.call("HDEL", hash, id)
  end
end
redis.call("HSET", jobs, id, string.format("v1 %.0f ", now) .. key .. " " .. ARGV[3] .. "\n" .. ARGV[5])
if delay == 0 then
  redis.call("RPUSH", line, id)
else
  redis.call("ZADD", line, now + delay, id)
end
wake()
return { id, 1 }
