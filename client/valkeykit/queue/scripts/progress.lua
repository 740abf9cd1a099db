#!lua flags=allow-oom
-- shared: fence
-- keys: active progress
-- Notes how far a job is, where the worker still holds it.
-- ARGV: worker, id, attempt, progress
if #held(ARGV[1], { ARGV[2] }, { ARGV[3] }) == 0 then
  return 0
end
redis.call("HSET", progress, ARGV[2], ARGV[4])
return 1
