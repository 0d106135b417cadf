-- What a queue's settings say. The library changes them with the same plain commands.
local function step()
  if not as_chosen() then
    return {"family"}
  end
  local meta = P .. "meta"
  for suffix, letter in pairs({meta = "h", limiter = "s", events = "x"}) do
    if not typed(P .. suffix, letter) then
      return {"refused", "type", P .. suffix}
    end
  end
  if order.since then
    local version = call("HGET", meta, "version")
    local minor = version and string.match(version, "^bullmq:5%.(%d+)%.")
    if minor and tonumber(minor) < order.since then
      return {"refused", "too_old", version}
    end
  end
  if order.what == "release" then
    if call("EXISTS", P .. "limiter") == 0 then
      return {"already", "same"}
    end
    call("DEL", P .. "limiter")
    return {"done"}
  elseif order.what == "trim" then
    local before = call("XLEN", P .. "events")
    if before <= order.keep then
      return {"already", "same"}
    end
    -- A stream gives up whole blocks only, so that it may keep all of them.
    local removed = call("XTRIM", P .. "events", "MAXLEN", "~", order.keep)
    return {removed > 0 and "did" or "refused", "events", tostring(removed), tostring(before - removed)}
  end
  local before = call("HMGET", meta, unpack(order.fields))
  local same = true
  for i, _ in ipairs(order.fields) do
    if (before[i] or "") ~= (order.values[i] or "") then
      same = false
    end
  end
  if same then
    return {"already", "same"}
  end
  for i, field in ipairs(order.fields) do
    if order.values[i] then
      call("HSET", meta, field, order.values[i])
    else
      call("HDEL", meta, field)
    end
  end
  return {"done"}
end
