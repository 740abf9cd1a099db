-- Totals, and a ring of the last 60 minutes.
local function count(what, number)
  if number > 0 then
    redis.call("HINCRBY", stats, what, number)
    local minute = math.floor(now / 60000)
    local slot = what .. ":" .. minute % 60
    local begun, so_far = string.match(redis.call("HGET", minutes, slot) or "", "^(%d+) (%d+)$")
    if tonumber(begun) ~= minute then
      so_far = 0
    end
    redis.call("HSET", minutes, slot, string.format("%.0f %.0f", minute, so_far + number))
  end
end
