#!lua flags=allow-oom
-- shared: keys clock waiting wake count header forget bury
-- Leases up to `limit` jobs to a worker. Each take counts as an attempt.
-- ARGV: worker, limit, lease (ms)
-- Returns: ms until there may be more to do (-1: nobody knows), 1 where the one job is to run alone,
--          how many repeats are due, then for each job its id, its attempt and its record.
local BATCH = 200

local worker, limit, lease = ARGV[1], tonumber(ARGV[2]), ARGV[3]
local settings = redis.call("HMGET", config, "paused", "rate", "period", "tokens", "refilled")

local function reap()
  local ended = redis.call("ZRANGEBYSCORE", leases, "-inf", now, "LIMIT", 0, BATCH)
  for _, id in ipairs(ended) do
    local attempts = tonumber(string.match(redis.call("HGET", active, id) or "", "^%d+") or 1)
    local _, most = header(redis.call("HGET", jobs, id))
    redis.call("ZREM", leases, id)
    if redis.call("HEXISTS", cancelled, id) == 1 then
      forget({ id })
    elseif attempts >= most then
      bury(id, "the worker was lost while it ran the job, " .. attempts .. " times")
    else
      redis.call("HSET", active, id, attempts .. " -")
      redis.call("RPUSH", suspect, id)
    end
  end
  count("lost", #ended)
end

local function promote()
  for _, id in ipairs(redis.call("ZRANGEBYSCORE", delayed, "-inf", now, "LIMIT", 0, BATCH)) do
    redis.call("ZREM", delayed, id)
    redis.call("RPUSH", waiting((header(redis.call("HGET", jobs, id)))), id)
  end
end

-- What the rate limit's bucket holds now; it refills with time.
local function tokens()
  local rate, period = tonumber(settings[2]), tonumber(settings[3])
  if not rate then
    return limit
  end
  return math.min(rate, settings[4] + (now - settings[5]) * rate / period)
end

local function pop(number)
  local lists, ids = {}, {}
  for priority = 9, 0, -1 do
    lists[#lists + 1] = waiting(priority)
  end
  while #ids < number do
    lists[11], lists[12], lists[13] = "LEFT", "COUNT", number - #ids
    local popped = redis.call("LMPOP", 10, unpack(lists))
    if not popped then
      break
    end
    for _, id in ipairs(popped[2]) do
      ids[#ids + 1] = id
    end
  end
  return ids
end

local function assign(ids, reply)
  local records, states = redis.call("HMGET", jobs, unpack(ids)), redis.call("HMGET", active, unpack(ids))
  local marks, ends = {}, {}
  for i, id in ipairs(ids) do
    if records[i] then
      local attempt = states[i] and string.match(states[i], "^%d+") + 1 or 1
      marks[#marks + 1], marks[#marks + 2] = id, attempt .. " " .. worker
      ends[#ends + 1], ends[#ends + 2] = now + lease, id
      reply[#reply + 1], reply[#reply + 2], reply[#reply + 3] = id, attempt, records[i]
    end
  end
  if #marks > 0 then
    redis.call("HSET", active, unpack(marks))
    redis.call("ZADD", leases, unpack(ends))
  end
end

-- When the next delayed or repeated job is due or the next lease ends.
local function next_event()
  local soonest = -1
  for _, key in ipairs({ delayed, leases, repeating }) do
    local due = redis.call("ZRANGE", key, 0, 0, "WITHSCORES")[2]
    if due and (soonest < 0 or due - now < soonest) then
      soonest = math.max(due - now, 0)
    end
  end
  return soonest
end

reap()
promote()
if settings[1] then
  return { -1, 0, 0 }
end
local bucket = tokens()
local number = math.min(limit, math.floor(bucket))
if number == 0 then
  return { math.ceil((1 - bucket) * settings[3] / settings[2]), 0, 0 }
end

local ids = redis.call("LPOP", suspect, 1) or {}
local alone = #ids
if alone == 0 then
  ids = pop(number)
end
local reply = { -1, alone, redis.call("ZCOUNT", repeating, "-inf", now) }
if #ids > 0 then
  assign(ids, reply)
  if settings[2] then
    redis.call("HSET", config, "tokens", bucket - #ids, "refilled", now)
  end
end
if #ids == number or alone == 1 then
  wake()
end
reply[1] = next_event()
return reply
