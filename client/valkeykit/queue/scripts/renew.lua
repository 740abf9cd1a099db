#!lua flags=allow-oom
-- shared: clock fence
-- keys: active leases cancelled workers beats
-- Renews leases, and notes that the worker lives. The list of workers has those that reported last.
-- ARGV: worker, lease (ms), its description (JSON; "" for no change), then for each job: id, attempt
-- Returns two lists: the ids that the worker no longer holds, and those that were cancelled.
local LISTED = 1000
local worker, lease, ids, attempts = ARGV[1], ARGV[2], {}, {}
for i = 4, #ARGV, 2 do
  ids[#ids + 1], attempts[#attempts + 1] = ARGV[i], ARGV[i + 1]
end

if ARGV[3] ~= "" then
  redis.call("HSET", workers, worker, ARGV[3])
end
redis.call("ZADD", beats, now, worker)
local old = redis.call("ZRANGEBYSCORE", beats, "-inf", now - 3600000, "LIMIT", 0, 10)
local excess = redis.call("ZCARD", beats) - LISTED
if #old == 0 and excess > 0 then
  old = redis.call("ZRANGE", beats, 0, math.min(excess, 10) - 1)
end
if #old > 0 then
  redis.call("ZREM", beats, unpack(old))
  redis.call("HDEL", workers, unpack(old))
end

local mine, gone = held(worker, ids, attempts)
local stopped = {}
for _, id in ipairs(mine) do
  redis.call("ZADD", leases, "XX", now + lease, id)
  if redis.call("HEXISTS", cancelled, id) == 1 then
    stopped[#stopped + 1] = id
  end
end
return { gone, stopped }
