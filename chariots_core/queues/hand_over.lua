-- Puts a message into a queue, unless an earlier one for the same job waits there.
--
-- KEYS  the queue: a list of the names of messages
-- ARGV  the job's id; which sending this is; how many words the command has that
--       tells whether a message is known, and these, of which the last is followed
--       by the message's name; how many commands write the message; for each of
--       them how many words, and these

local queue, job, generation = KEYS[1], ARGV[1], tonumber(ARGV[2])
local last = 3 + tonumber(ARGV[3])

local known = {unpack(ARGV, 4, last)}
for earlier = generation - 1, math.max(1, generation - 100), -1 do
  local name = job .. '-' .. earlier
  known[#known] = ARGV[last] .. name
  if redis.call(unpack(known)) == 1 then
    if redis.call('LPOS', queue, name) then return 0 end
    break
  end
end

local at = last + 1
for _ = 1, tonumber(ARGV[at]) do
  local first = at + 2
  at = first + tonumber(ARGV[at + 1]) - 1
  redis.call(unpack(ARGV, first, at))
end
redis.call('RPUSH', queue, job .. '-' .. ARGV[2])
return 1
