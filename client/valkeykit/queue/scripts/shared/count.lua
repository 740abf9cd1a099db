local function count(what, number)
  if number > 0 then
    redis.call("HINCRBY", stats, what, number)
    local minute = base .. ":rate:" .. what .. ":" .. math.floor(now / 60000)
    redis.call("INCRBY", minute, number)
    redis.call("EXPIRE", minute, 600)
  end
end
