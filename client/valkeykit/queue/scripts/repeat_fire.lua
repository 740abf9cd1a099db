#!lua
-- shared: keys clock waiting wake
-- Adds the job of a repeat, if no other worker has: the due time is the fence.
-- ARGV: name, due (ms), next (ms), priority, header, id, payload
local name = ARGV[1]
if redis.call("ZSCORE", repeating, name) ~= ARGV[2] then
  return 0
end
redis.call("ZADD", repeating, ARGV[3], name)
if redis.call("HSETNX", jobs, ARGV[6], string.format("%.0f ", now) .. ARGV[5] .. "\n" .. ARGV[7]) == 1 then
  redis.call("RPUSH", waiting(ARGV[4]), ARGV[6])
  wake()
end
return 1
