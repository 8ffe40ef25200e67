-- Puts a message into a queue of RQ, unless an earlier one for the same job waits there.
--
-- KEYS  the queue; the set of all queues; what the key of an RQ job begins with
-- ARGV  the job's id; which sending this is; seconds for which RQ's record is
--       kept; fields and values of that record

local queue, queues, prefix = KEYS[1], KEYS[2], KEYS[3]
local job, generation = ARGV[1], tonumber(ARGV[2])

for earlier = generation - 1, math.max(1, generation - 100), -1 do
  local name = job .. '-' .. earlier
  if redis.call('EXISTS', prefix .. name) == 1 then
    if redis.call('LPOS', queue, name) then return 0 end
    break
  end
end

local message = job .. '-' .. ARGV[2]
redis.call('HSET', prefix .. message, unpack(ARGV, 4))
redis.call('EXPIRE', prefix .. message, ARGV[3])
redis.call('SADD', queues, queue)
redis.call('RPUSH', queue, message)
return 1
