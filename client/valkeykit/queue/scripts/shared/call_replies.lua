-- What a producer's latest calls answered. One that is sent again, since its answer was lost, gets the same.
local REMEMBERED = 2048

local function recall(call)
  local number, answer = string.match(redis.call("HGET", answers, call % REMEMBERED) or "", "^(%d+) (.*)$")
  return number == call and cjson.decode(answer)
end

local function remember(call, answer)
  redis.call("HSET", answers, call % REMEMBERED, call .. " " .. cjson.encode(answer))
  redis.call("EXPIRE", answers, 120)
  return answer
end
