-- Begins every script. KEYS[1] is the queue's base, such as valkeykit:{mail}, and each of
-- its keys begins with it: one hash slot, so a script may touch them all on a cluster.
--
--   jobs       hash   id -> record: "created priority attempts timeout ttl backoff name\npayload"
--   waiting:P  list   ids in order, one list for each priority
--   suspect    list   ids whose worker was lost: each is run alone next time
--   delayed    zset   id -> when it is due (ms)
--   leases     zset   id -> when its lease ends (ms)
--   active     hash   id -> "attempts worker"; worker is "-" between two attempts
--   dead       zset   id -> when it was set aside (ms)
--   repeats    hash   name -> what is repeated, as JSON that only clients read
--   repeating  zset   name -> when it is due next (ms)
--   errors, progress, cancelled   hashes by id
--   wake       list   at most one element, on which idle workers block
local base = KEYS[1]
local jobs, active, leases = base .. ":jobs", base .. ":active", base .. ":leases"
local delayed, suspect, dead = base .. ":delayed", base .. ":suspect", base .. ":dead"
local errors, progress, cancelled = base .. ":errors", base .. ":progress", base .. ":cancelled"
local repeats, repeating = base .. ":repeats", base .. ":repeating"
local stats, config = base .. ":stats", base .. ":config"
