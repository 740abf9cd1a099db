#!lua flags=no-writes
-- shared: keys
-- Dead letters, the latest first.
-- ARGV: how many
-- Returns id, record, attempts, error, when (ms) for each.
local reply = {}
local letters = redis.call("ZRANGE", dead, 0, ARGV[1] - 1, "REV", "WITHSCORES")
for i = 1, #letters, 2 do
  local id = letters[i]
  reply[#reply + 1] = id
  reply[#reply + 1] = redis.call("HGET", jobs, id) or ""
  reply[#reply + 1] = tonumber(string.match(redis.call("HGET", active, id) or "", "^%d+") or 0)
  reply[#reply + 1] = redis.call("HGET", errors, id) or ""
  reply[#reply + 1] = tonumber(letters[i + 1])
end
return reply
