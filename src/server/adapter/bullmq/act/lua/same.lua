-- Whether a job is, byte for byte, what was read of it.

local PARTS = {dependencies = "SCARD", processed = "HLEN", failed = "HLEN", unsuccessful = "ZCARD"}

-- A text with its length, so that no two lists of texts read alike.
local function put(parts, text)
  parts[#parts + 1] = #text .. ":"
  parts[#parts + 1] = text
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
    for name, count in pairs(PARTS) do
      if redis.pcall(count, key .. ":" .. name) ~= (read.below and read.below[name] or 0) then
        return false
      end
    end
  end
  return redis.sha1hex(table.concat(parts)) == read.sum, more > 0
end
