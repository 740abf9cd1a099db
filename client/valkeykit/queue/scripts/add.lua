#!lua
-- shared: keys clock waiting wake once
-- Adds jobs under ids that only this producer makes, all or none, once.
-- ARGV: producer, call number, priority, delay (ms), header, then for each job: id, payload
-- Returns how many were added; 0 where this very call has already run, and its answer was lost.
if not first_time(ARGV[1], ARGV[2]) then
  return 0
end
local priority, delay = ARGV[3], tonumber(ARGV[4])
local head = string.format("%.0f ", now) .. ARGV[5] .. "\n"

local records, line = {}, {}
for i = 6, #ARGV, 2 do
  records[#records + 1], records[#records + 2] = ARGV[i], head .. ARGV[i + 1]
  if delay == 0 then
    line[#line + 1] = ARGV[i]
  else
    line[#line + 1], line[#line + 2] = now + delay, ARGV[i]
  end
end
redis.call("HSET", jobs, unpack(records))
if delay == 0 then
  redis.call("RPUSH", waiting(priority), unpack(line))
else
  redis.call("ZADD", delayed, unpack(line))
end
wake()
return #records / 2
