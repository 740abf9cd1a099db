#!lua flags=no-writes
-- shared: clock
-- keys: schedules schedule_times
-- ARGV: 1 for those that are due, 0 for all; how many to pass over
-- Returns now (ms), then name, serialized and due time (ms) of up to 200 schedules, fewer where their texts are large.
local BYTES = 1024 * 1024
local reply, size = { now }, 0
local last = ARGV[1] == "1" and now or "+inf"
local due = redis.call("ZRANGEBYSCORE", schedule_times, "-inf", last, "WITHSCORES", "LIMIT", ARGV[2], 200)
for i = 1, #due, 2 do
  local serialized = redis.call("HGET", schedules, due[i]) or ""
  size = size + #serialized
  if size > BYTES and i > 1 then
    break
  end
  reply[#reply + 1] = due[i]
  reply[#reply + 1] = serialized
  reply[#reply + 1] = tonumber(due[i + 1])
end
return reply
