#!lua
-- shared: wake header call_replies
-- keys: jobs active dead errors traces losses started wakeups waiting* | answers
-- Puts dead letters back into their line, with all their attempts before them.
-- ARGV: call number, ids
-- Returns how many there were.
local call, number = ARGV[1], 0
local first = recall(call)
if first then
  return first
end
for i = 2, #ARGV do
  local id = ARGV[i]
  if redis.call("ZREM", dead, id) == 1 then
    for _, key in ipairs({ active, errors, traces, losses, started }) do
      redis.call("HDEL", key, id)
    end
    redis.call("RPUSH", waiting((header(redis.call("HGET", jobs, id)))), id)
    number = number + 1
  end
end
if number > 0 then
  wake()
end
return remember(call, number)
