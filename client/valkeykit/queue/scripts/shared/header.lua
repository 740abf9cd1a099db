-- Priority and attempts of a record; a record that isn't one counts as tried once, lowest priority.
local function header(record)
  local priority, attempts = string.match(record or "", "^%d+ (%d) (%d+) ")
  return priority or "0", tonumber(attempts or 1)
end
