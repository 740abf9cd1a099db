#!lua
-- shared: keys waiting wake header
-- Puts dead letters back into their line, with all their attempts before them.
-- ARGV: ids
-- Returns how many there were.
local number = 0
for _, id in ipairs(ARGV) do
  if redis.call("ZREM", dead, id) == 1 then
    redis.call("HDEL", active, id)
    redis.call("HDEL", errors, id)
    redis.call("RPUSH", waiting((header(redis.call("HGET", jobs, id)))), id)
    number = number + 1
  end
end
if number > 0 then
  wake()
end
return number
