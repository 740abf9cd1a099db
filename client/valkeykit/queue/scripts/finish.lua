#!lua flags=allow-oom
-- shared: keys clock count fence forget
-- Acknowledges jobs that are done, where the worker still holds them.
-- ARGV: worker, how many have no result, then for each of those: id, attempt;
--       then for each of the others: id, attempt, how long to keep the result (ms), result
-- Returns the ids of those that it no longer held: somebody else has them.
local worker, plain = ARGV[1], tonumber(ARGV[2])
local ids, attempts, results = {}, {}, {}
for i = 3, 2 + plain * 2, 2 do
  ids[#ids + 1], attempts[#attempts + 1] = ARGV[i], ARGV[i + 1]
end
for i = 3 + plain * 2, #ARGV, 4 do
  ids[#ids + 1], attempts[#attempts + 1] = ARGV[i], ARGV[i + 1]
  results[ARGV[i]] = { ARGV[i + 2], ARGV[i + 3] }
end

local mine, lost = held(worker, ids, attempts)
if #mine > 0 then
  redis.call("ZREM", leases, unpack(mine))
  forget(mine)
  for _, id in ipairs(mine) do
    local result = results[id]
    if result then
      redis.call("SET", base .. ":result:" .. id, result[2], "PX", result[1])
    end
  end
  count("completed", #mine)
end
return lost
