#!lua
-- shared:
-- Deletes an entry that is corrupt or invalidated, unless it was replaced meanwhile.
-- KEYS: entry, lease. ARGV: SHA-1 of the entry
local entry = redis.call("GET", KEYS[1])
if entry and redis.sha1hex(entry) == ARGV[1] then
  redis.call("DEL", KEYS[1])
end
return 1
