-- A bit for each call of a producer, by which a call that is sent again is recognized. It expires with its producer.
local function first_time(call)
  local again = redis.call("SETBIT", seen, call, 1) == 1
  if call % 64 == 0 then
    redis.call("EXPIRE", seen, 3600)
  else
    redis.call("EXPIRE", seen, 3600, "NX")
  end
  return not again
end
