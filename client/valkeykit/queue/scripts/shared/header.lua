-- Priority, attempts and key of a record. This beginning is the same in every format version, so that a worker of an
-- older version can release jobs that it can't run. Attempts are nil where the record is corrupt.
local function header(record)
  local key, priority, attempts = string.match(record or "", "^v%d+ %d+ (%S+) (%d) (%d+) ")
  return priority or "0", tonumber(attempts), key
end
