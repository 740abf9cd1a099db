#!lua flags=allow-oom
-- shared: keys clock fence
-- Renews leases.
-- ARGV: worker, lease (ms), then for each job: id, attempt
-- Returns two lists: the ids that the worker no longer holds, and those that were cancelled.
local worker, lease, ids, attempts = ARGV[1], ARGV[2], {}, {}
for i = 3, #ARGV, 2 do
  ids[#ids + 1], attempts[#attempts + 1] = ARGV[i], ARGV[i + 1]
end

local mine, lost = held(worker, ids, attempts)
local stopped = {}
for _, id in ipairs(mine) do
  redis.call("ZADD", leases, "XX", now + lease, id)
  if redis.call("HEXISTS", cancelled, id) == 1 then
    stopped[#stopped + 1] = id
  end
end
return { lost, stopped }
