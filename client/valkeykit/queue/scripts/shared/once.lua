-- A bit for each call of a producer: what a repeated call is recognised by. Expires with its producer.
local function first_time(producer, call)
  local seen = base .. ":seen:" .. producer
  local again = redis.call("SETBIT", seen, call, 1) == 1
  if call % 64 == 0 then
    redis.call("EXPIRE", seen, 3600)
  end
  return not again
end
