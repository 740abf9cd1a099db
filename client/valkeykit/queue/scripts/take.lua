#!lua flags=allow-oom
-- shared: clock wake count header delete_jobs free_key end_cancelled move_to_dead_letter
-- keys: config starts jobs active leases suspect dead errors traces progress cancelled losses started unique unique_ends stats minutes schedule_times wakeups delayed* waiting* | taken
-- Leases jobs to a worker, once: a take that is sent again returns what the first one leased.
-- ARGV: worker, number of the take, jobs at most, jobs that can run now, lease (ms), bytes at most,
--       1 where the worker runs no suspect
-- Returns: ms until there may be more to do (-1: unknown), how many schedules are due, how many of the jobs are suspects
--          (they come first), 1 under a rate limit, a list of jobs whose lease ended (id, attempt, record and what became
--          of it: waiting, dead or cancelled), then for each job its id, its attempt and its record.
local BATCH, CHUNK, LARGEST_CHUNK = 200, 20, 200
local worker, number = ARGV[1], ARGV[2]
local limit, free, lease, bytes = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
local reaped = {}
local reply = { -1, 0, 0, 0, reaped }

local function attempt_of(id)
  return tonumber(string.match(redis.call("HGET", active, id) or "", "^%d+") or 0)
end

-- What the first take leased and the worker still holds. After none of it the worker takes again at once.
local function take_again(suspects, ids)
  reply[1], reply[3] = 0, tonumber(suspects)
  for id in string.gmatch(ids, "%S+") do
    local attempt = attempt_of(id)
    local record = redis.call("HGET", jobs, id)
    if record and redis.call("HGET", active, id) == attempt .. " " .. worker then
      redis.call("ZADD", leases, "XX", now + lease, id)
      reply[#reply + 1], reply[#reply + 2], reply[#reply + 3] = id, attempt, record
    end
  end
  return reply
end

-- A take that leased nothing is noted too, so that no copy of it does.
local function note_take(suspects, ids)
  local note = number .. " " .. suspects .. " " .. table.concat(ids, " ")
  redis.call("SET", taken, note, "PX", math.max(lease * 2, 60000))
end

-- Jobs whose worker didn't renew its lease. The last attempt counts only where it is known to have begun.
local function reap()
  local ended = redis.call("ZRANGEBYSCORE", leases, "-inf", now, "LIMIT", 0, BATCH)
  for i = #ended, 1, -1 do -- each goes to the head of its line, the oldest last
    local id = ended[i]
    local record, attempt = redis.call("HGET", jobs, id), math.max(attempt_of(id), 1)
    local priority, most = header(record)
    local fate = "waiting"
    redis.call("ZREM", leases, id)
    if not record then
      delete_jobs({ id })
    elseif redis.call("HEXISTS", cancelled, id) == 1 then
      fate = "cancelled"
      end_cancelled(id)
    elseif redis.call("HEXISTS", started, id) == 1 then
      fate = "dead"
      move_to_dead_letter(id, "the worker was lost while it ran the job, at attempt " .. attempt, "")
    else
      if most and attempt >= most then
        attempt = most - 1
      end
      redis.call("HSET", active, id, attempt .. " -")
      redis.call("HDEL", started, id)
      if redis.call("HINCRBY", losses, id, 1) > 1 then
        redis.call("RPUSH", suspect, id)
      else
        redis.call("LPUSH", waiting(priority), id)
      end
    end
    for _, value in ipairs({ id, attempt, string.match(record or "", "^[^\n]*"), fate }) do
      reaped[#reaped + 1] = value
    end
  end
  count("lost", #ended)
end

-- Delayed jobs that are due, of the highest priority first.
local function promote(budget)
  for priority = 9, 0, -1 do
    local due = budget > 0 and redis.call("ZRANGEBYSCORE", delayed(priority), "-inf", now, "LIMIT", 0, budget) or {}
    if #due > 0 then
      redis.call("RPUSH", waiting(priority), unpack(due))
      redis.call("ZREM", delayed(priority), unpack(due))
      budget = budget - #due
    end
  end
end

-- How many jobs the rate limit lets start now, and ms until it lets one start. `starts` has the times of the latest
-- starts, so that no window of that length has more. The margin covers the way of the answer.
local function allowance(rate, period)
  local margin = math.max(10, math.min(250, period / 20))
  local since = now - period - margin
  local ahead = 0
  while (tonumber(redis.call("LINDEX", starts, ahead)) or 0) > now do
    ahead = ahead + 1
  end
  if ahead > 0 then -- the clock was set back
    redis.call("LTRIM", starts, ahead, -1)
    for _ = 1, ahead do
      redis.call("LPUSH", starts, now)
    end
  end
  local low, high = 0, math.min(limit, free, rate)
  while low < high do
    local middle = math.ceil((low + high) / 2)
    if (tonumber(redis.call("LINDEX", starts, rate - middle)) or 0) <= since then
      low = middle
    else
      high = middle - 1
    end
  end
  local oldest = tonumber(redis.call("LINDEX", starts, rate - 1))
  return low, math.max(free == 0 and 50 or 1, oldest and oldest - since or 1)
end

local given, size, suspects = {}, 0, 0

-- Leases jobs from the head of a line. Each is leased before it leaves the line: an error half-way loses none.
local function lease_from(line, most)
  local ids = redis.call("LRANGE", line, 0, most - 1)
  if #ids == 0 then
    return 0
  end
  local records, states = redis.call("HMGET", jobs, unpack(ids)), redis.call("HMGET", active, unpack(ids))
  local marks, ends, passed = {}, {}, 0
  for i, id in ipairs(ids) do
    local record = records[i]
    if record and #given > 0 and size + #record > bytes then
      size = bytes
      break
    end
    passed = i
    if record then
      local attempt = tonumber(states[i] and string.match(states[i], "^%d+") or 0) + 1
      size = size + #record
      given[#given + 1] = id
      marks[#marks + 1], marks[#marks + 2] = id, string.format("%d ", attempt) .. worker
      ends[#ends + 1], ends[#ends + 2] = now + lease, id
      reply[#reply + 1], reply[#reply + 2], reply[#reply + 3] = id, attempt, record
    end
  end
  if #marks > 0 then
    redis.call("HSET", active, unpack(marks))
    redis.call("ZADD", leases, unpack(ends))
  end
  redis.call("LPOP", line, passed)
  return passed
end

-- When the next delayed or repeated job is due or the next lease ends.
local function next_event()
  local soonest = -1
  local function note(due)
    if due and (soonest < 0 or due - now < soonest) then
      soonest = math.max(due - now, 0)
    end
  end
  for priority = 0, 9 do
    note(redis.call("ZRANGE", delayed(priority), 0, 0, "WITHSCORES")[2])
  end
  note(redis.call("ZRANGE", leases, 0, 0, "WITHSCORES")[2])
  note(redis.call("ZRANGEBYSCORE", schedule_times, "(" .. now, "+inf", "WITHSCORES", "LIMIT", 0, 1)[2])
  return soonest
end

local last, of_them, ids = string.match(redis.call("GET", taken) or "", "^(%d+) (%d+) (.*)$")
if last == number then
  return take_again(of_them, ids)
elseif last and tonumber(last) > tonumber(number) then
  return reply -- a copy that was long on its way
end

reap()
promote(math.max(BATCH, limit))
local settings = redis.call("HMGET", config, "paused", "rate", "period")
if settings[1] then
  note_take(0, {})
  return reply
end
reply[2] = redis.call("ZCOUNT", schedule_times, "-inf", now)
local wanted = limit
if settings[2] then
  local pause
  reply[4] = 1
  wanted, pause = allowance(tonumber(settings[2]), tonumber(settings[3]))
  if wanted == 0 then
    reply[1] = pause
    note_take(0, {})
    return reply
  end
end

if ARGV[7] == "1" then
  lease_from(suspect, 1)
  suspects = #given
end
local left = false
for priority = 9, 0, -1 do
  local line = waiting(priority)
  while #given < wanted and size < bytes do
    local chunk = CHUNK -- as many as may fit, by the size of those before
    if size > 0 then
      chunk = math.max(1, math.min(LARGEST_CHUNK, math.ceil((bytes - size) * #given / size)))
    end
    if lease_from(line, math.min(chunk, wanted - #given)) == 0 then
      break
    end
  end
  if #given >= wanted or size >= bytes then
    left = true
    break
  end
end
reply[3] = suspects
note_take(suspects, given)
if settings[2] and #given > 0 then
  for _ = 1, #given do
    redis.call("LPUSH", starts, now)
  end
  redis.call("LTRIM", starts, 0, settings[2] - 1)
end
if left then
  wake()
end
reply[1] = next_event()
return reply
