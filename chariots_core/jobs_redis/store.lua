-- The job store of one app, as one script: each call is one atomic step.
--
-- KEYS[1]  the prefix of every key, with the app as a hash tag
-- ARGV[1]  which operation; what follows is the operation's own
--
-- A job is a text (<prefix>:job:<id>): a JSON object of its fields, all of them texts
-- but two of the store's own: `told`, the number of its last event, and `long`, the names
-- of those texts that are too long for this and are kept in a hash (<prefix>:text:<id>).
-- Its events are a list (<prefix>:events:<id>), each the text of a JSON list: number,
-- time, kind, status, attempt, reason, data. (A stream would take four kilobytes at
-- once.) Times are microseconds since 1970, by the server's clock. Sorted sets find jobs:
-- by running number all of them (jobs), those of a status (status, where each has a span
-- of numbers) and of a pipeline (pipeline:<pipeline>); by time those that want attention
-- (wake; wake_queued, of which there may be many) and those that are to be forgotten
-- (expires).
--
-- What is to be written comes as one JSON object: `set` (field and text), `now` (field
-- and microseconds from now), `plus` (field and number), `gone` (fields), `events` (of
-- each: kind and data as JSON, and how many of its kind to keep, or 0); for a change also
-- `from` and `status` (before and after it), and the rest of its guard: `own` (field and
-- text) and `when`. Texts that may be long follow it: the name and the text of each.

local P = KEYS[1]
local call, encode, decode = redis.call, cjson.encode, cjson.decode

local time = call('TIME')
local NOW = time[1] * 1000000 + time[2] + CLOCK_OFFSET

local HOUR = 3600 * 1000000
local NONE = {}

-- Where a job of each status may stand among those that want attention.
local WAKES = {queued = 'wake_queued', running = 'wake', deferred = 'wake', done = 'wake'}

-- Where each status begins in the set of all. No more is exact in a sorted set.
local SPAN = 1e15
local FIRST = {queued = 0, running = SPAN, deferred = 2 * SPAN, done = 3 * SPAN, failed = 4 * SPAN}

-- The longest text that stands with the short ones, in bytes.
local SHORT = 512

local function number(n)
  return string.format('%.0f', n)
end

local function job_key(id) return P .. ':job:' .. id end
local function text_key(id) return P .. ':text:' .. id end
local function events_key(id) return P .. ':events:' .. id end

local function forget(id, job)
  for _, key in ipairs({'jobs', 'status', 'wake', 'wake_queued', 'expires'}) do
    call('ZREM', P .. ':' .. key, id)
  end
  if job then
    call('ZREM', P .. ':pipeline:' .. job.pipeline, id)
    if job.key then call('HDEL', P .. ':keys', job.key) end
  end
  call('DEL', job_key(id), text_key(id), events_key(id))
end

local function read(id)
  local text = call('GET', job_key(id))
  local job = text and decode(text)
  -- Where a server has evicted its long texts, the rest would be another job.
  if job and job.long and call('EXISTS', text_key(id)) == 0 then
    forget(id, job)
    return false
  end
  return job
end

-- A job named in the sorted set `where`; nothing if somebody else has removed it (a server
-- that evicts keys, say), and then it is forgotten and stands in nobody's way.
local function find(id, where)
  local job = read(id)
  if not job then
    forget(id)
    call('ZREM', where, id)
  end
  return job
end

-- A record: what stands together as one text, and the long texts, each after its name.
local function row(id, job, text)
  return {text or encode(job), job.long and call('HGETALL', text_key(id)) or NONE}
end

-- Returns the text, for `row`.
local function write(id, job)
  local text = encode(job)
  call('SET', job_key(id), text)
  return text
end

-- The record without its input and result, and without `manifest_json` where
-- nobody is to publish it.
local function outline(id, job, manifest)
  local texts, names = {}, {'versions', 'error', 'progress', manifest and 'manifest_json' or nil}
  if job.long then
    for i, text in ipairs(call('HMGET', text_key(id), unpack(names))) do
      if text then
        texts[#texts + 1] = names[i]
        texts[#texts + 1] = text
      end
    end
  end
  job.input_json, job.value_json = nil, nil
  if not manifest then job.manifest_json = nil end
  return {encode(job), texts}
end

local function has_manifest(job)
  return job.manifest_json or job.long and job.long.manifest_json
end

-- A record of an older release, which wrote 'done' before the publication. This release
-- keeps a job that is publishing 'running'.
local function is_unpublished(job)
  return job.status == 'done' and not job.published_at and has_manifest(job)
end

local function is_known(job)
  return not job.expires_at or tonumber(job.expires_at) > NOW or is_unpublished(job)
end

-- A job that stands in no other's way: see JobStore.create.
local function is_gone(job)
  return not is_known(job)
    or (job.status == 'failed' and job.reason == 'not_submitted' and (job.token or '0') == '0')
end

local function first(a, b)
  a, b = a and tonumber(a), b and tonumber(b)
  if a and b then return math.min(a, b) end
  return a or b
end

-- chariots_core.jobs.waking says the same.
local function wake_at(job)
  local status = job.status
  if status == 'running' then
    if job.reason == 'publishing' then return first(job.resend_at) end
    return first(job.lease_until)
  end
  if status == 'queued' then return first(job.resend_at, job.queue_expires_at) end
  if status == 'deferred' then return first(job.due_at, job.queue_expires_at) end
  if is_unpublished(job) then return first(job.resend_at or job.finished_at) end
  return nil
end

local function index(id, before, job)
  local status = job.status
  if before ~= status then call('ZADD', P .. ':status', number(FIRST[status] + job.seq), id) end
  local wake = wake_at(job)
  local left, place = WAKES[before], wake and WAKES[status]
  if left and left ~= place then call('ZREM', P .. ':' .. left, id) end
  if place then
    call('ZADD', P .. ':' .. place, number(wake), id)
  elseif job.expires_at and (status == 'done' or status == 'failed') then
    -- What is final and wants attention is to be published yet.
    call('ZADD', P .. ':expires', job.expires_at, id)
  end
end

-- Makes changes to a job; what is long of the texts that follow at `at`, up to `last`, is
-- written at once, and what is gone of it.
local function apply(id, job, what, at, last)
  for field, text in pairs(what.set) do job[field] = text end
  for field, wait in pairs(what.now) do job[field] = number(NOW + wait) end
  for field, n in pairs(what.plus) do job[field] = number((job[field] or 0) + n) end
  local long, set, gone = job.long or {}, {}, {}
  local function leave(name)
    if long[name] then
      long[name] = nil
      gone[#gone + 1] = name
    end
  end
  for _, field in ipairs(what.gone) do
    job[field] = nil
    leave(field)
  end
  for i = at, last, 2 do
    local name, text = ARGV[i], ARGV[i + 1]
    if #text > SHORT then
      job[name], long[name] = nil, true
      set[#set + 1] = name
      set[#set + 1] = text
    else
      job[name] = text
      leave(name)
    end
  end
  job.long = next(long) and long
  if #gone > 0 then call('HDEL', text_key(id), unpack(gone)) end
  if #set > 0 then call('HSET', text_key(id), unpack(set)) end
end

-- The oldest events of a kind make room, so that `keep` of them are left with
-- the one to come.
local function make_room(id, kind, keep)
  local events = call('LRANGE', events_key(id), 0, -1)
  local mark = '^%[%d+,%d+,()'
  local found = 0
  for i = #events, 1, -1 do
    local at = string.match(events[i], mark)
    if string.sub(events[i], at, at + #kind) == kind .. ',' then
      found = found + 1
      if found >= keep then call('LREM', events_key(id), 1, events[i]) end
    end
  end
end

-- `kind` and `data` are JSON.
local function tell(id, job, kind, data, keep)
  if keep > 0 then make_room(id, kind, keep) end
  job.told = (job.told or 0) + 1
  local event = table.concat({
    '[' .. number(job.told), number(NOW), kind, '"' .. job.status .. '"', job.attempt or '0',
    job.reason and encode(job.reason) or 'null', data .. ']',
  }, ',')
  call('RPUSH', events_key(id), event)
  return event
end

local function holds(job, when)
  if not when then return true end
  if when == 'unpublished' then return not job.published_at and has_manifest(job) end
  if when == 'startable' then
    return not job.queue_expires_at or tonumber(job.queue_expires_at) > NOW
  end
  local field = ({lease_expired = 'lease_until', due = 'due_at', resend_due = 'resend_at',
                  queue_expired = 'queue_expires_at'})[when]
  return job[field] and tonumber(job[field]) <= NOW
end

-- Writes what is to be written if it holds what is asked, with the texts that follow at
-- `at`; returns the record after it.
local function change(id, job, what, at)
  if not job or job.status ~= what.from then return false end
  for field, text in pairs(what.own or NONE) do
    if (job[field] or '0') ~= text then return false end
  end
  if not holds(job, what.when) then return false end
  apply(id, job, what, at, #ARGV)
  job.status = what.status
  index(id, what.from, job)
  for _, event in ipairs(what.events) do tell(id, job, unpack(event)) end
  return row(id, job, write(id, job))
end

local OP = ARGV[1]

-- id, what is to be written, texts
if OP == 'change' then
  return change(ARGV[2], read(ARGV[2]), decode(ARGV[3]), 4)
end

-- id, idempotency key, its digest, what is to be written, how many texts, these; how many
-- commands, for each of them how many parts, and these: to be run if the job is new.
if OP == 'create' then
  local id, key, digest = ARGV[2], ARGV[3], ARGV[4]
  local twin, twin_id, told
  local job = read(id)
  if job then
    if is_gone(job) then
      -- Who has heard the other's events is to hear of this one, too.
      told = job.told
      forget(id, job)
    else
      twin, twin_id = job, id
    end
  end
  local owner = key ~= '' and call('HGET', P .. ':keys', key)
  if owner then
    job = read(owner)
    if job and not is_gone(job) then
      twin, twin_id = job, owner
    else
      call('HDEL', P .. ':keys', key)
      if job then
        job.key, job.digest = nil, nil
        write(owner, job)
      end
    end
  end
  if twin then return {0, row(twin_id, twin), twin.key or false, twin.digest or false} end
  job = {id = id, seq = number(call('INCR', P .. ':seq')), created_at = number(NOW), told = told}
  if key ~= '' then
    job.key, job.digest = key, digest
    call('HSET', P .. ':keys', key, id)
  end
  local at = 7 + 2 * tonumber(ARGV[6])
  apply(id, job, decode(ARGV[5]), 7, at - 1)
  call('ZADD', P .. ':jobs', job.seq, id)
  call('ZADD', P .. ':pipeline:' .. job.pipeline, job.seq, id)
  index(id, nil, job)
  tell(id, job, '"state"', 'null', 0)
  local written = row(id, job, write(id, job))
  for _ = 1, tonumber(ARGV[at]) do
    local from = at + 2
    at = from + tonumber(ARGV[at + 1]) - 1
    call(unpack(ARGV, from, at))
  end
  return {1, written}
end

-- id
if OP == 'get' then
  local job = read(ARGV[2])
  return job and is_known(job) and row(ARGV[2], job)
end

-- what a claim writes; how many queues; for each of them its list, how many words the
-- command has that forgets a message, and these, of which the last is followed by the
-- message's name. Takes messages until one is of a job that can be claimed.
if OP == 'take' then
  local what, at = decode(ARGV[2]), 4
  local looks = 0
  for _ = 1, tonumber(ARGV[3]) do
    local queue, from = ARGV[at], at + 2
    at = from + tonumber(ARGV[at + 1])
    local name = call('LPOP', queue)
    while name do
      local forgotten = {unpack(ARGV, from, at - 1)}
      forgotten[#forgotten] = forgotten[#forgotten] .. name
      call(unpack(forgotten))
      local id = string.match(name, '^(.*)-')
      local claimed = id and change(id, read(id), what, #ARGV + 1)
      if claimed then return claimed end
      looks = looks + 1
      name = looks < 100 and call('LPOP', queue)
    end
  end
  return false
end

-- limit, how many to look at, status, pipeline, backend, since, before
-- Returns rows, and the number to go on before, or nothing if this was all.
if OP == 'list' then
  local limit, most = tonumber(ARGV[2]), tonumber(ARGV[3])
  local status, pipeline, backend, since, before = ARGV[4], ARGV[5], ARGV[6], ARGV[7], ARGV[8]
  local source, from = P .. ':jobs', 0
  local function up_to(n) return '(' .. number(from + n) end
  if status ~= '' then source, from = P .. ':status', FIRST[status] end
  if pipeline ~= '' then
    local other = P .. ':pipeline:' .. pipeline
    if status == '' or call('ZCARD', other) < call('ZCOUNT', source, from, up_to(SPAN)) then
      source, from = other, 0
    end
  end
  local upper = before == '' and SPAN or tonumber(before)
  local ids = call('ZREVRANGEBYSCORE', source, up_to(upper), from, 'LIMIT', 0, most)
  local rows, seen = {}, number(upper)
  local function is_asked(job)
    return (status == '' or job.status == status) and (pipeline == '' or job.pipeline == pipeline)
      and (backend == '' or job.backend == backend) and is_known(job)
  end
  for _, id in ipairs(ids) do
    local job = find(id, source)
    if job then
      -- Numbers grow with time: whatever comes after is older still.
      if since ~= '' and tonumber(job.created_at) < tonumber(since) then return {rows, false} end
      seen = job.seq
      if is_asked(job) then
        rows[#rows + 1] = outline(id, job, false)
        if #rows == limit then break end
      end
    end
  end
  return {rows, #ids == most and seen or false}
end

if OP == 'counts' then
  local found = {}
  for i, status in ipairs({'queued', 'running', 'deferred'}) do
    local from = FIRST[status]
    found[i] = call('ZCOUNT', P .. ':status', from, '(' .. number(from + SPAN))
  end
  return found
end

-- limit, or the id of one job
if OP == 'due' then
  local ids
  if ARGV[3] then
    local wake = call('ZSCORE', P .. ':wake', ARGV[3])
      or call('ZSCORE', P .. ':wake_queued', ARGV[3])
    ids = wake and tonumber(wake) <= NOW and {ARGV[3]} or {}
  else
    ids = call('ZRANGEBYSCORE', P .. ':wake', '-inf', number(NOW), 'LIMIT', 0, ARGV[2])
    local left = ARGV[2] - #ids
    for _, id in ipairs(left > 0 and call('ZRANGEBYSCORE', P .. ':wake_queued', '-inf',
                                          number(NOW), 'LIMIT', 0, left) or {}) do
      ids[#ids + 1] = id
    end
  end
  local rows = {}
  for _, id in ipairs(ids) do
    local job = find(id, P .. ':wake')
    if job then rows[#rows + 1] = outline(id, job, true) end
  end
  return rows
end

-- limit
if OP == 'expire' then
  local ids = call('ZRANGEBYSCORE', P .. ':expires', '-inf', number(NOW), 'LIMIT', 0, ARGV[2])
  for _, id in ipairs(ids) do forget(id, read(id)) end
  local dead = call('ZRANGEBYSCORE', P .. ':workers', '-inf', number(NOW - HOUR), 'LIMIT', 0, 1000)
  for _, id in ipairs(dead) do call('DEL', P .. ':worker:' .. id) end
  if #dead > 0 then call('ZREM', P .. ':workers', unpack(dead)) end
  return #ids
end

if OP == 'now' then
  return number(NOW)
end

-- id, kind and data as JSON, how many to keep or 0
if OP == 'append' then
  local job = read(ARGV[2])
  if not job then return false end
  local event = tell(ARGV[2], job, ARGV[3], ARGV[4], tonumber(ARGV[5]))
  write(ARGV[2], job)
  return event
end

-- id, after which number, limit
if OP == 'events' then
  local after, limit = tonumber(ARGV[3]), tonumber(ARGV[4])
  local found = {}
  for _, event in ipairs(call('LRANGE', events_key(ARGV[2]), 0, -1)) do
    if #found == limit then break end
    if tonumber(string.match(event, '^%[(%d+)')) > after then found[#found + 1] = event end
  end
  return found
end

-- id, seconds to live in microseconds, then fields and values
if OP == 'beat' then
  local key = P .. ':worker:' .. ARGV[2]
  call('HSETNX', key, 'started_at', number(NOW))
  call('HDEL', key, 'job_id')
  call('HSET', key, 'seen_at', number(NOW), unpack(ARGV, 4))
  call('ZADD', P .. ':workers', number(NOW + ARGV[3]), ARGV[2])
end

-- id
if OP == 'leave' then
  call('DEL', P .. ':worker:' .. ARGV[2])
  call('ZREM', P .. ':workers', ARGV[2])
end

if OP == 'workers' then
  local rows = {}
  for i, id in ipairs(call('ZRANGEBYSCORE', P .. ':workers', '(' .. number(NOW), '+inf')) do
    rows[i] = call('HGETALL', P .. ':worker:' .. id)
  end
  return rows
end

-- Processes are a hash of texts (processes), and a sorted set of their ends (processes_end).
-- id, seconds to live in microseconds, facts
if OP == 'report' then
  local gone = call('ZRANGEBYSCORE', P .. ':processes_end', '-inf', number(NOW), 'LIMIT', 0, 1000)
  if #gone > 0 then
    call('HDEL', P .. ':processes', unpack(gone))
    call('ZREM', P .. ':processes_end', unpack(gone))
  end
  call('HSET', P .. ':processes', ARGV[2], ARGV[4])
  call('ZADD', P .. ':processes_end', number(NOW + ARGV[3]), ARGV[2])
end

-- id
if OP == 'withdraw' then
  call('HDEL', P .. ':processes', ARGV[2])
  call('ZREM', P .. ':processes_end', ARGV[2])
end

if OP == 'processes' then
  local ids = call('ZRANGEBYSCORE', P .. ':processes_end', '(' .. number(NOW), '+inf')
  return #ids > 0 and call('HMGET', P .. ':processes', unpack(ids)) or {}
end
