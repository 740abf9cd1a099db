#!lua flags=allow-oom
-- shared: fence
-- keys: active started
-- Notes that jobs begin their last attempt, where the worker still holds them: only such an attempt can be the end of a
-- job whose worker is lost.
-- ARGV: worker, then for each job: id, attempt
-- Returns the ids that the worker no longer holds.
local worker, ids, attempts = ARGV[1], {}, {}
for i = 2, #ARGV, 2 do
  ids[#ids + 1], attempts[#attempts + 1] = ARGV[i], ARGV[i + 1]
end
local mine, gone = held(worker, ids, attempts)
for _, id in ipairs(mine) do
  redis.call("HSET", started, id, "1")
end
return gone
