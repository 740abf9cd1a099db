#!lua flags=allow-oom
-- shared: keys waiting wake header fence
-- Gives back jobs that were taken and not started, to the head of the line; the attempt doesn't count.
-- ARGV: worker, then for each job: id, attempt
local worker, ids, attempts, attempt_of = ARGV[1], {}, {}, {}
for i = 2, #ARGV, 2 do
  ids[#ids + 1], attempts[#attempts + 1] = ARGV[i], ARGV[i + 1]
  attempt_of[ARGV[i]] = tonumber(ARGV[i + 1])
end

local mine = held(worker, ids, attempts)
for i = #mine, 1, -1 do
  local id = mine[i]
  local before = attempt_of[id] - 1
  redis.call("ZREM", leases, id)
  if before == 0 then
    redis.call("HDEL", active, id)
  else
    redis.call("HSET", active, id, before .. " -")
  end
  redis.call("LPUSH", waiting((header(redis.call("HGET", jobs, id)))), id)
end
if #mine > 0 then
  wake()
end
return #mine
