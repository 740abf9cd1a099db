local function bury(id, reason)
  redis.call("ZREM", leases, id)
  redis.call("HDEL", cancelled, id)
  redis.call("ZADD", dead, now, id)
  redis.call("HSET", errors, id, reason)
  local state = redis.call("HGET", active, id)
  if state then
    redis.call("HSET", active, id, string.match(state, "^%d+") .. " -")
  end
  count("failed", 1)
end
