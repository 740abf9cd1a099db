-- Lets a job of the same key be added again.
local function free_key(id)
  local _, _, key = header(redis.call("HGET", jobs, id))
  key = key and string.match(key, "^=(.+)$")
  if key and redis.call("HGET", unique, key) == id then
    redis.call("HDEL", unique, key)
    redis.call("ZREM", unique_ends, key)
  end
end
