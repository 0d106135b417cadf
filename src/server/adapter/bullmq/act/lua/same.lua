-- Whether a job is, byte for byte, what was read of it.

local PARTS = {dependencies = "SCARD", processed = "HLEN", failed = "HLEN", unsuccessful = "ZCARD"}
local KINDS = {dependencies = "e", processed = "h", failed = "h", unsuccessful = "z"}

-- A text with its length, so that no two lists of texts read alike.
local function put(parts, text)
  parts[#parts + 1] = #text .. ":"
  parts[#parts + 1] = text
end

-- `read` is what was read: key, shape (which of the lists of names in the order it has), logs and what is below it (their
-- numbers), sum (the SHA-1 of all values and lines, each with its length). Names and numbers are compared as they are.
local function same(read)
  local names, parts = order.shapes[read.shape], {}
  if not typed(read.key, "h") or call("HLEN", read.key) ~= #names then
    return false
  end
  for from = 1, #names, 500 do
    local values = call("HMGET", read.key, unpack(names, from, math.min(from + 499, #names)))
    for i = 1, #values do
      if not values[i] then
        return false
      end
      put(parts, values[i])
    end
  end
  local logs = read.key .. ":logs"
  if not typed(logs, "l") then
    return false
  end
  local lines = call("LRANGE", logs, 0, -1)
  if #lines ~= read.logs then
    return false
  end
  for i = 1, #lines do
    put(parts, lines[i])
  end
  if read.below or call("EXISTS", read.key .. ":dependencies", read.key .. ":processed", read.key .. ":failed", read.key .. ":unsuccessful") > 0 then
    for name, count in pairs(PARTS) do
      local key = read.key .. ":" .. name
      if not typed(key, KINDS[name]) or call(count, key) ~= (read.below and read.below[name] or 0) then
        return false
      end
    end
  end
  return redis.sha1hex(table.concat(parts)) == read.sum
end
