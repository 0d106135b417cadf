-- Adds a job: a new one, or a copy of another, which has its name and data unless others are given.
local function step(job)
  local answer, name, data, opts = nil, order.name, order.data, order.opts
  if order.copy then
    answer = as_seen(job, ANY)
    if not answer then
      local source = call("HMGET", job.key, "name", "data", "opts", "priority")
      name, data = name or source[1] or "", data or source[2] or "{}"
      -- The options were read a moment ago to be put together anew.
      if (source[3] or "") ~= order.read or (source[4] or "0") ~= order.priority_read then
        answer = {"changed", "edited"}
      end
    end
  elseif not as_chosen() then
    answer = {"family"}
  end
  answer = answer or prepared(job, order.script)
  if answer then
    return answer
  end
  local counter = call("GET", P .. "id")
  if counter and not string.find(counter, "^%d+$") then
    return {"refused", "meta"}
  end
  local id = order.id or ""
  if id ~= "" and call("EXISTS", P .. id) == 1 then
    return {"already", "id_taken"}
  end
  local expected = id ~= "" and id or string.format("%.0f", (tonumber(counter) or 0) + 1)
  if id == "" and call("EXISTS", P .. expected) == 1 then
    return {"refused", "id_taken", expected}
  end
  local now = now_ms()
  local args
  if order.bull then
    local due = tonumber(order.delay) > 0 and string.format("%.0f", tonumber(now) + tonumber(order.delay)) or "0"
    local json = string.gsub(opts, '"timestamp":0', function() return '"timestamp":' .. now end, 1)
    args = {P, id, name, data, cmsgpack.pack(json), now, order.delay, due, order.priority, order.push, order.token, "", "", ""}
  else
    -- The places of parents stay empty, and the key of a schedule. What deduplicates stands in the ninth.
    local head = {P, id, name, tonumber(now)}
    local packed
    if order.dedup then
      packed = string.char(0x99) .. cmsgpack.pack(P) .. cmsgpack.pack(id) .. cmsgpack.pack(name) .. cmsgpack.pack(tonumber(now))
        .. string.rep(string.char(0xc0), 4) .. cmsgpack.pack(P .. "de:" .. order.dedup)
    else
      packed = cmsgpack.pack(head)
    end
    args = {packed, data, opts}
  end
  local result, broke = run(order.script, job, args)
  if broke then
    return broke
  end
  if type(result) == "number" and result < 0 then
    return {"refused", "library", tostring(result)}
  end
  result = tostring(result)
  if result ~= expected then
    return {"already", "dedup", result}
  end
  return {"done", result}
end
