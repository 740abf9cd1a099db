#!lua
-- shared: clock wake dedupe
-- keys: jobs wakeups | line seen
-- Adds jobs under ids that only this producer makes, all or none, once. `line` is that of their priority.
-- ARGV: call number, delay (ms; 0 for a line of waiting jobs), header, then for each job: id, payload
-- Returns how many were added; 0 where this very call has already run, and its answer was lost.
if not first_time(ARGV[1]) then
  return 0
end
local delay = tonumber(ARGV[2])
local head = string.format("v1 %.0f - ", now) .. ARGV[3] .. "\n"

local records, ids = {}, {}
for i = 4, #ARGV, 2 do
  records[#records + 1], records[#records + 2] = ARGV[i], head .. ARGV[i + 1]
  if delay == 0 then
    ids[#ids + 1] = ARGV[i]
  else
    ids[#ids + 1], ids[#ids + 2] = now + delay, ARGV[i]
  end
end
redis.call("HSET", jobs, unpack(records))
if delay == 0 then
  redis.call("RPUSH", line, unpack(ids))
else
  redis.call("ZADD", line, unpack(ids))
end
wake()
return #records / 2
