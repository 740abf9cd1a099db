#!lua
-- shared: keys clock waiting wake once
-- Adds one job under an id that may exist, or under a key that may be taken, once.
-- ARGV: producer, call number, priority, delay (ms), header, id, payload, key ("" for none), its window (ms)
-- Returns the id, and 1 where it was added; else that of the job that was there, and 0.
if not first_time(ARGV[1], ARGV[2]) then
  return { ARGV[6], 1 }
end
local priority, delay, id = ARGV[3], tonumber(ARGV[4]), ARGV[6]
if redis.call("HEXISTS", jobs, id) + redis.call("EXISTS", base .. ":result:" .. id) > 0 then
  return { id, 0 }
end
if ARGV[8] ~= "" then
  local key = base .. ":key:" .. ARGV[8]
  if not redis.call("SET", key, id, "NX", "PX", ARGV[9]) then
    return { redis.call("GET", key), 0 }
  end
end

redis.call("HSET", jobs, id, string.format("%.0f ", now) .. ARGV[5] .. "\n" .. ARGV[7])
if delay == 0 then
  redis.call("RPUSH", waiting(priority), id)
else
  redis.call("ZADD", delayed, now + delay, id)
end
wake()
return { id, 1 }
