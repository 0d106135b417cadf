-- Whether a job is, byte for byte, what was read of it.

-- What lies below a job: its name, how it is counted and read, and how many elements of the answer are one of it.
local PARTS = {{"dependencies", "SCARD", "SMEMBERS", 1}, {"failed", "HLEN", "HGETALL", 2}, {"processed", "HLEN", "HGETALL", 2},
  {"unsuccessful", "ZCARD", "ZRANGE", 1}}

-- A text with its length, so that no two lists of texts read alike.
local function put(parts, text)
  parts[#parts + 1] = #text .. ":"
  parts[#parts + 1] = text
end

-- The contents of a part, whatever their order: two sums over the digests of all.
local function put_all(parts, key, part)
  local items = part[3] == "ZRANGE" and call("ZRANGE", key, 0, -1) or call(part[3], key)
  local high, low = 0, 0
  for i = 1, #items, part[4] do
    local one = {}
    put(one, items[i])
    if part[4] == 2 then
      put(one, items[i + 1])
    end
    local digest = redis.sha1hex(table.concat(one))
    high = high + tonumber(string.sub(digest, 1, 8), 16)
    low = low + tonumber(string.sub(digest, 9, 16), 16)
  end
  put(parts, part[1])
  put(parts, string.format("%.0f", high))
  put(parts, string.format("%.0f", low))
end

-- `read` is what was read: key, shape (which of the lists of names in the order it has), logs and what is below it (their
-- numbers), sum (the SHA-1 of all values and lines, each with its length). Names and numbers are compared as they are.
-- A key of another type is no job that was read: `pcall` says so without a question for each type.
local function same(read)
  local names, parts, key = order.shapes[read.shape], {}, read.key
  if redis.pcall("HLEN", key) ~= #names then
    return false
  end
  for from = 1, #names, 500 do
    local values = call("HMGET", key, unpack(names, from, math.min(from + 499, #names)))
    for i = 1, #values do
      if not values[i] then
        return false
      end
      put(parts, values[i])
    end
  end
  -- Nearly all jobs have nothing but their record: one question for everything else, a worker's lock included.
  local more = call("EXISTS", key .. ":lock", key .. ":logs", key .. ":dependencies", key .. ":processed", key .. ":failed",
    key .. ":unsuccessful")
  if more > 0 or read.logs > 0 or read.below then
    local lines = redis.pcall("LRANGE", key .. ":logs", 0, -1)
    if lines.err or #lines ~= read.logs then
      return false
    end
    for i = 1, #lines do
      put(parts, lines[i])
    end
    for _, part in ipairs(PARTS) do
      local name = part[1]
      local count = read.below and read.below[name] or 0
      if redis.pcall(part[2], key .. ":" .. name) ~= count then
        return false
      elseif count > 0 then
        put_all(parts, key .. ":" .. name, part)
      end
    end
  end
  return redis.sha1hex(table.concat(parts)) == read.sum, more > 0
end
