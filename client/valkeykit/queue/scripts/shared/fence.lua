-- The ids among `ids` that this worker still holds, for the same attempt, and the others.
local function held(worker, ids, attempts)
  local mine, gone = {}, {}
  if #ids > 0 then
    local states = redis.call("HMGET", active, unpack(ids))
    for i, id in ipairs(ids) do
      local list = states[i] == attempts[i] .. " " .. worker and mine or gone
      list[#list + 1] = id
    end
  end
  return mine, gone
end
