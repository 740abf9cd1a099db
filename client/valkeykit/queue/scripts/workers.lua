#!lua flags=no-writes
-- shared: clock
-- keys: workers beats
-- Returns for each worker, the latest report first: its name, ms since its last report, its description.
local reply = {}
local names = redis.call("ZRANGE", beats, 0, 999, "REV", "WITHSCORES")
for i = 1, #names, 2 do
  reply[#reply + 1] = names[i]
  reply[#reply + 1] = math.max(0, now - names[i + 1])
  reply[#reply + 1] = redis.call("HGET", workers, names[i]) or "{}"
end
return reply
