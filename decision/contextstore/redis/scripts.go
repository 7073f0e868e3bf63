package redis

// Scripts run as one step on the server and name every key they touch.

// commitScript holds the versions of all mutations, then does them. Keys: the set
// of expiries, then hash and index of each namespace. Arguments of a mutation:
// place of its hash, session, expected version, operation, record, expiry, member
// of the set of expiries.
const commitScript = `
for i = 1, #ARGV, 7 do
  local record = redis.call('HGET', KEYS[tonumber(ARGV[i])], ARGV[i+1])
  local version = ''
  if record then version = string.sub(record, 1, 8) end
  if version ~= ARGV[i+2] then return 0 end
end
for i = 1, #ARGV, 7 do
  local place, session, op = tonumber(ARGV[i]), ARGV[i+1], ARGV[i+3]
  if op == '1' then
    redis.call('HSET', KEYS[place], session, ARGV[i+4])
    redis.call('ZADD', KEYS[place+1], 0, session)
    if ARGV[i+5] == '' then
      redis.call('ZREM', KEYS[1], ARGV[i+6])
    else
      redis.call('ZADD', KEYS[1], ARGV[i+5], ARGV[i+6])
    end
  elseif op == '2' then
    redis.call('HDEL', KEYS[place], session)
    redis.call('ZREM', KEYS[place+1], session)
    redis.call('ZREM', KEYS[1], ARGV[i+6])
  end
end
return 1`

// scanScript lists sessions and records. Keys: hash, index. Arguments: where to
// begin, how many, about how many bytes.
const scanScript = `
local out, size = {}, 0
local sessions = redis.call('ZRANGEBYLEX', KEYS[2], ARGV[1], '+', 'LIMIT', 0, ARGV[2])
for _, session in ipairs(sessions) do
  local record = redis.call('HGET', KEYS[1], session)
  if record then
    out[#out+1] = session
    out[#out+1] = record
    size = size + #record
    if size >= tonumber(ARGV[3]) then break end
  end
end
return out`

// dropScript removes a namespace. Keys: its hash and index, where its sessions go
// for forgetScript, hash and index of the namespaces. Argument: the namespace.
const dropScript = `
redis.call('UNLINK', KEYS[1])
if redis.call('EXISTS', KEYS[2]) == 1 then redis.call('RENAME', KEYS[2], KEYS[3]) end
redis.call('HDEL', KEYS[4], ARGV[1])
redis.call('ZREM', KEYS[5], ARGV[1])
return 1`

// forgetScript removes sessions of a dropped namespace from the set of expiries,
// unless they were written anew, and tells how many it looked at. Keys: the
// sessions, the namespace's hash, the set of expiries. Arguments: how many, the
// namespace.
const forgetScript = `
local popped = redis.call('ZPOPMIN', KEYS[1], ARGV[1])
for i = 1, #popped, 2 do
  if redis.call('HEXISTS', KEYS[2], popped[i]) == 0 then
    redis.call('ZREM', KEYS[3], ARGV[2] .. '\0' .. popped[i])
  end
end
return #popped`

// sweepScript removes documents that are still due, and tells how many. Keys: the
// set of expiries, hash, index. Arguments: the time, the namespace, sessions.
const sweepScript = `
local removed = 0
for i = 3, #ARGV do
  local member = ARGV[2] .. '\0' .. ARGV[i]
  local due = redis.call('ZSCORE', KEYS[1], member)
  if due and tonumber(due) <= tonumber(ARGV[1]) then
    removed = removed + redis.call('HDEL', KEYS[2], ARGV[i])
    redis.call('ZREM', KEYS[3], ARGV[i])
    redis.call('ZREM', KEYS[1], member)
  end
end
return removed`
