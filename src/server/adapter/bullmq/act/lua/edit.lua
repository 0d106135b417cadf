-- Replaces a job's data; what it was becomes a line of its log. Gives an answer only if that went wrong.
local function edit(job)
  local old = call("HGET", job.key, "data") or ""
  if #old > order.old_max then
    return {"refused", "old_data", tostring(#old)}
  end
  if not typed(job.key .. ":logs", "l") then
    return {"refused", "type", job.key .. ":logs"}
  end
  local result, broke = run("updateData", job, {order.data})
  if broke or result ~= 0 then
    return broke or {"refused", "library", tostring(result)}
  end
  local line = order.line .. old
  if lib.addLog then
    local _, failed = run("addLog", job, {job.id, line, ""})
    return failed
  end
  call("RPUSH", job.key .. ":logs", line)
end
