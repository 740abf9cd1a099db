-- Put before every script. KEYS[1] is the queue's base, such as valkeykit:{mail}, and each of
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

local time = redis.call("TIME")
local now = time[1] * 1000 + math.floor(time[2] / 1000)

local function waiting(priority)
  return base .. ":waiting:" .. priority
end

-- One element is enough: whoever wakes and leaves jobs behind puts it back.
local function wake()
  if redis.call("LLEN", base .. ":wake") == 0 then
    redis.call("RPUSH", base .. ":wake", "1")
  end
end

-- A bit for each call of a producer: what a repeated call is recognised by. Expires with its producer.
local function first_time(producer, call)
  local seen = base .. ":seen:" .. producer
  local again = redis.call("SETBIT", seen, call, 1) == 1
  redis.call("EXPIRE", seen, 3600)
  return not again
end

local function count(what, number)
  if number > 0 then
    redis.call("HINCRBY", stats, what, number)
    local minute = base .. ":rate:" .. what .. ":" .. math.floor(now / 60000)
    redis.call("INCRBY", minute, number)
    redis.call("EXPIRE", minute, 600)
  end
end

-- Priority and attempts of a record; a record that isn't one counts as tried once, lowest priority.
local function header(record)
  local priority, attempts = string.match(record or "", "^%d+ (%d) (%d+) ")
  return priority or "0", tonumber(attempts or 1)
end

-- The ids among `ids` that this worker still holds, for the same attempt: the fence.
local function held(worker, ids, attempts)
  local mine, lost = {}, {}
  if #ids > 0 then
    local states = redis.call("HMGET", active, unpack(ids))
    for i, id in ipairs(ids) do
      local list = states[i] == attempts[i] .. " " .. worker and mine or lost
      list[#list + 1] = id
    end
  end
  return mine, lost
end

local function forget(ids)
  for _, key in ipairs({ active, jobs, errors, progress, cancelled }) do
    redis.call("HDEL", key, unpack(ids))
  end
end

local function bury(id, reason)
  redis.call("ZREM", leases, id)
  redis.call("HDEL", cancelled, id)
  redis.call("ZADD", dead, now, id)
  redis.call("HSET", errors, id, reason)
  local state = redis.call("HGET", active, id)
  if state then
    redis.call("HSET", active, id, string.match(state, "^%d+") .. " -")
  end
  count("failed", 1)
end
