-- The job store of one app, as one script: each call is one atomic step.
--
-- KEYS[1]  the prefix of every key, with the app as a hash tag
-- ARGV[1]  which operation; what follows is the operation's own
--
-- A job is a hash of short fields (<prefix>:job:<id>), which Redis keeps packed,
-- a hash of long texts (<prefix>:text:<id>) and a list of events
-- (<prefix>:events:<id>), each the text of a JSON list: number, time, kind,
-- status, attempt, reason, data. (A stream would take four kilobytes at once.) Times are microseconds since 1970, by the server's
-- clock. Sorted sets find jobs: by running number all of them (jobs), those of a
-- status (status:<status>) and of a pipeline (pipeline:<pipeline>); by time those
-- that want attention (wake; wake_queued, of which there may be many) and those that
-- are to be forgotten (expires).

local P = KEYS[1]
local call = redis.call

local time = call('TIME')
local NOW = time[1] * 1000000 + time[2] + CLOCK_OFFSET

local HOUR = 3600 * 1000000
local FINAL = {done = true, failed = true}

local function number(n)
  return string.format('%.0f', n)
end

local function job_key(id) return P .. ':job:' .. id end
local function text_key(id) return P .. ':text:' .. id end
local function events_key(id) return P .. ':events:' .. id end

local function read_hash(key)
  local flat = call('HGETALL', key)
  if #flat == 0 then return nil end
  local map = {}
  for i = 1, #flat, 2 do map[flat[i]] = flat[i + 1] end
  return map
end

local function read(id) return read_hash(job_key(id)) end

-- A record: its short part as one JSON object, which is quicker to answer and to
-- read than a list of as many texts; then its long texts, each after its name.
local function row(job, texts)
  local flat = {}
  for name, text in pairs(texts) do
    flat[#flat + 1] = name
    flat[#flat + 1] = text
  end
  return {cjson.encode(job), flat}
end

local function whole(id, job)
  return {cjson.encode(job), call('HGETALL', text_key(id))}
end

-- The record without its input and result, and without `manifest_json` where
-- nobody is to publish it.
local function outline(id, job, manifest)
  local names = {'versions', 'error', 'progress', manifest and 'manifest_json' or nil}
  local texts = {}
  for i, text in ipairs(call('HMGET', text_key(id), unpack(names))) do
    if text then texts[names[i]] = text end
  end
  return row(job, texts)
end

local function is_unpublished(id, job)
  return job.status == 'done' and not job.published_at
    and call('HEXISTS', text_key(id), 'manifest_json') == 1
end

local function is_known(id, job)
  return not job.expires_at or tonumber(job.expires_at) > NOW or is_unpublished(id, job)
end

-- A job that stands in no other's way: see JobStore.create.
local function is_gone(id, job)
  return not is_known(id, job)
    or (job.status == 'failed' and job.reason == 'not_submitted' and (job.token or '0') == '0')
end

local function first(a, b)
  a, b = a and tonumber(a), b and tonumber(b)
  if a and b then return math.min(a, b) end
  return a or b
end

-- chariots_core.jobs.waking says the same.
local function wake_at(id, job)
  local status = job.status
  if status == 'running' then return first(job.lease_until) end
  if status == 'queued' then return first(job.resend_at, job.queue_expires_at) end
  if status == 'deferred' then return first(job.due_at, job.queue_expires_at) end
  if is_unpublished(id, job) then return first(job.resend_at or job.finished_at) end
  return nil
end

-- Where a job of each status may stand among those that want attention.
local WAKES = {queued = 'wake_queued', running = 'wake', deferred = 'wake', done = 'wake'}

local function index(id, before, job)
  local status = job.status
  if before ~= status then
    if before then call('ZREM', P .. ':status:' .. before, id) end
    call('ZADD', P .. ':status:' .. status, job.seq, id)
  end
  local wake = wake_at(id, job)
  local left, place = WAKES[before], wake and WAKES[status]
  if left and left ~= place then call('ZREM', P .. ':' .. left, id) end
  if place then call('ZADD', P .. ':' .. place, number(wake), id) end
  -- What is final and wants attention is to be published yet.
  if FINAL[status] and job.expires_at and not wake then
    call('ZADD', P .. ':expires', number(job.expires_at), id)
  end
end

local function forget(id, job)
  for _, key in ipairs({'jobs', 'wake', 'wake_queued', 'expires', 'status:' .. job.status,
                        'pipeline:' .. job.pipeline}) do
    call('ZREM', P .. ':' .. key, id)
  end
  if job.key then call('HDEL', P .. ':keys', job.key) end
  call('DEL', job_key(id), text_key(id), events_key(id))
end

-- Changes come in threes: what to do, the field (of those that are to go: all of them),
-- the value. Capitals are for the long texts. They are made to the tables, and written,
-- except for the short fields that are set: their names and values are returned.
local function apply(id, job, texts, at)
  local set, set_text, gone, gone_text = {}, {}, {}, {}
  for i = at, #ARGV, 3 do
    local act, field, value = ARGV[i], ARGV[i + 1], ARGV[i + 2]
    if act == 'SET' then
      texts[field] = value
      set_text[#set_text + 1] = field
      set_text[#set_text + 1] = value
    elseif act == 'none' then
      for name in string.gmatch(field, '%S+') do
        if job[name] then gone[#gone + 1] = name end
        if texts[name] then gone_text[#gone_text + 1] = name end
        job[name], texts[name] = nil, nil
      end
    else
      if act == 'now' then
        value = number(NOW + value)
      elseif act == 'plus' then
        value = number((job[field] or 0) + value)
      end
      job[field] = value
      set[#set + 1] = field
      set[#set + 1] = value
    end
  end
  if #gone > 0 then call('HDEL', job_key(id), unpack(gone)) end
  if #gone_text > 0 then call('HDEL', text_key(id), unpack(gone_text)) end
  if #set_text > 0 then call('HSET', text_key(id), unpack(set_text)) end
  return set
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

local function text_or_null(text)
  return text and cjson.encode(text) or 'null'
end

local function tell(id, job, kind, data, keep)
  kind = cjson.encode(kind)
  if keep ~= '' then make_room(id, kind, tonumber(keep)) end
  local event = '[' .. table.concat({
    number(call('INCR', P .. ':event_seq')), number(NOW), kind, cjson.encode(job.status),
    job.attempt or '0', text_or_null(job.reason), data == '' and 'null' or data,
  }, ',') .. ']'
  call('RPUSH', events_key(id), event)
  return event
end

-- Events come in threes too: kind, data, how many to keep.
local function tell_all(id, job, at)
  local last = at + 3 * tonumber(ARGV[at])
  for i = at + 1, last, 3 do tell(id, job, ARGV[i], ARGV[i + 1], ARGV[i + 2]) end
end

local function holds(id, job, when)
  if when == '' then return true end
  if when == 'unpublished' then
    return not job.published_at and call('HEXISTS', text_key(id), 'manifest_json') == 1
  end
  if when == 'startable' then
    return not job.queue_expires_at or tonumber(job.queue_expires_at) > NOW
  end
  local field = ({lease_expired = 'lease_until', due = 'due_at', resend_due = 'resend_at',
                  queue_expired = 'queue_expires_at'})[when]
  return job[field] and tonumber(job[field]) <= NOW
end

-- Gives a job another status, or the one it has, writes the changes that follow its
-- events at `at`, and returns the record after it.
local function change(id, job, status, at)
  local before = job.status
  local texts = read_hash(text_key(id)) or {}
  local set = apply(id, job, texts, at + 3 * tonumber(ARGV[at]) + 1)
  if status ~= before then
    job.status = status
    set[#set + 1] = 'status'
    set[#set + 1] = status
  end
  if #set > 0 then call('HSET', job_key(id), unpack(set)) end
  index(id, before, job)
  tell_all(id, job, at)
  return row(job, texts)
end

local OP = ARGV[1]

-- id, idempotency key, its digest, how many commands; for each of them how many
-- parts, and these; then changes. The commands are run if the job is new.
if OP == 'create' then
  local id, key, digest = ARGV[2], ARGV[3], ARGV[4]
  local twin
  local job = read(id)
  if job then
    if is_gone(id, job) then forget(id, job) else twin = {id, job} end
  end
  local owner = key ~= '' and call('HGET', P .. ':keys', key)
  if owner then
    job = read(owner)
    if job and not is_gone(owner, job) then
      twin = {owner, job}
    else
      call('HDEL', P .. ':keys', key)
      call('HDEL', job_key(owner), 'key', 'digest')
    end
  end
  if twin then
    return {0, whole(twin[1], twin[2]), twin[2].key or false, twin[2].digest or false}
  end
  local at = 6
  local commands = {}
  for n = 1, tonumber(ARGV[5]) do
    commands[n] = {at + 1, at + tonumber(ARGV[at])}
    at = commands[n][2] + 1
  end
  job = {id = id, seq = number(call('INCR', P .. ':seq')), created_at = number(NOW)}
  if key ~= '' then
    job.key, job.digest = key, digest
    call('HSET', P .. ':keys', key, id)
  end
  local texts = {}
  local set = apply(id, job, texts, at)
  for _, name in ipairs({'id', 'seq', 'created_at', 'key', 'digest'}) do
    if job[name] then
      set[#set + 1] = name
      set[#set + 1] = job[name]
    end
  end
  call('HSET', job_key(id), unpack(set))
  call('ZADD', P .. ':jobs', job.seq, id)
  call('ZADD', P .. ':pipeline:' .. job.pipeline, job.seq, id)
  index(id, nil, job)
  tell(id, job, 'state', '', '')
  for _, range in ipairs(commands) do call(unpack(ARGV, range[1], range[2])) end
  return {1, row(job, texts)}
end

-- id
if OP == 'get' then
  local job = read(ARGV[2])
  if not job or not is_known(ARGV[2], job) then return false end
  return whole(ARGV[2], job)
end

-- id, the guard (status, attempt, token, generation, cancel_requested, when),
-- the status after it, events, then changes
if OP == 'change' then
  local id = ARGV[2]
  local job = read(id)
  if not job or job.status ~= ARGV[3] then return false end
  for i, name in ipairs({'attempt', 'token', 'generation', 'cancel_requested'}) do
    local asked = ARGV[3 + i]
    if asked ~= '' and (job[name] or '0') ~= asked then return false end
  end
  if not holds(id, job, ARGV[8]) then return false end
  return change(id, job, ARGV[9], 10)
end

-- how many queues; for each of them its list, how many words the command has that
-- forgets a message, and these, of which the last is followed by the message's name;
-- then what a claim changes. Takes messages until one is of a job that can be claimed.
if OP == 'take' then
  local queues, at = {}, 3
  for n = 1, tonumber(ARGV[2]) do
    queues[n] = {at, at + 2, at + 1 + tonumber(ARGV[at + 1])}
    at = queues[n][3] + 1
  end
  local looks = 0
  for _, queue in ipairs(queues) do
    local name = call('LPOP', ARGV[queue[1]])
    while name do
      local forget = {unpack(ARGV, queue[2], queue[3])}
      forget[#forget] = forget[#forget] .. name
      call(unpack(forget))
      local id = string.match(name, '^(.*)-')
      local job = id and read(id)
      if job and job.status == 'queued' and holds(id, job, 'startable') then
        return change(id, job, 'running', at)
      end
      looks = looks + 1
      name = looks < 100 and call('LPOP', ARGV[queue[1]])
    end
  end
  return false
end

-- limit, how many to look at, status, pipeline, backend, since, before
-- Returns rows, and the number to go on before, or nothing if this was all.
if OP == 'list' then
  local limit, most = tonumber(ARGV[2]), tonumber(ARGV[3])
  local status, pipeline, backend, since, before = ARGV[4], ARGV[5], ARGV[6], ARGV[7], ARGV[8]
  local source = P .. ':jobs'
  if status ~= '' then source = P .. ':status:' .. status end
  if pipeline ~= '' then
    local other = P .. ':pipeline:' .. pipeline
    if status == '' or call('ZCARD', other) < call('ZCARD', source) then source = other end
  end
  local upper = before == '' and '+inf' or '(' .. before
  local ids = call('ZREVRANGEBYSCORE', source, upper, '-inf', 'LIMIT', 0, most)
  local rows, seen = {}, nil
  for _, id in ipairs(ids) do
    local job = read(id)
    -- Numbers grow with time: whatever comes after is older still.
    if since ~= '' and tonumber(job.created_at) < tonumber(since) then return {rows, false} end
    seen = job.seq
    if (status == '' or job.status == status) and (pipeline == '' or job.pipeline == pipeline)
        and (backend == '' or job.backend == backend) and is_known(id, job) then
      rows[#rows + 1] = outline(id, job, false)
      if #rows == limit then break end
    end
  end
  return {rows, #ids == most and seen or false}
end

if OP == 'counts' then
  return {call('ZCARD', P .. ':status:queued'), call('ZCARD', P .. ':status:running'),
          call('ZCARD', P .. ':status:deferred')}
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
  for i, id in ipairs(ids) do rows[i] = outline(id, read(id), true) end
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

-- id, kind, data, how many to keep
if OP == 'append' then
  local job = read(ARGV[2])
  if not job then return false end
  return tell(ARGV[2], job, ARGV[3], ARGV[4], ARGV[5])
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
