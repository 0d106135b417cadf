-- Has a job that has not begun fail, visibly, when a worker takes it. There is no script for it: the field is what the
-- library's own stalled check writes.
local function step(job)
  local answer, state = as_seen(job, {waiting = true, prioritized = true, delayed = true, ["waiting-children"] = true}, {failed = true})
  if answer then
    return answer
  end
  local version = call("HGET", P .. "meta", "version")
  local minor = version and string.match(version, "^bullmq:5%.(%d+)%.")
  if minor and tonumber(minor) < 50 then
    return {"refused", "cancel_old", version}
  end
  if call("EXISTS", job.key .. ":lock") == 1 then
    return {"locked", text_of(call("GET", job.key .. ":lock"))}
  end
  if call("HGET", job.key, "defa") == order.error then
    return {"already", state}
  end
  call("HSET", job.key, "defa", order.error)
  return {"done"}
end
