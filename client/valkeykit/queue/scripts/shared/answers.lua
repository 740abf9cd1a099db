-- What a call answered. One that is sent again, since its answer was lost, gets the same.
local function recall(call)
  local answer = redis.call("HGET", answers, call)
  return answer and cjson.decode(answer)
end

local function remember(call, answer)
  redis.call("HSET", answers, call, cjson.encode(answer))
  redis.call("EXPIRE", answers, 120)
  return answer
end
