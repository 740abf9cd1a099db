-- Makes a job a dead letter; the oldest ones go where the queue has limits for them.
local function move_to_dead_letter(id, reason, trace)
  free_key(id)
  redis.call("ZREM", leases, id)
  redis.call("HDEL", started, id)
  redis.call("ZADD", dead, now, id)
  redis.call("HSET", errors, id, reason)
  if trace ~= "" then
    redis.call("HSET", traces, id, trace)
  end
  local attempt = string.match(redis.call("HGET", active, id) or "", "^%d+")
  if attempt then
    redis.call("HSET", active, id, attempt .. " -")
  end
  count("failed", 1)

  local limits = redis.call("HMGET", config, "dead_count", "dead_age")
  local old = {}
  if limits[1] and redis.call("ZCARD", dead) > tonumber(limits[1]) then
    old = redis.call("ZRANGE", dead, 0, math.min(redis.call("ZCARD", dead) - limits[1], 100) - 1)
  elseif limits[2] then
    old = redis.call("ZRANGEBYSCORE", dead, "-inf", now - limits[2], "LIMIT", 0, 100)
  end
  if #old > 0 then
    redis.call("ZREM", dead, unpack(old))
    delete_jobs(old)
  end
end
