-- Replaces a job's data and does nothing else.
local function step(job)
  local answer, state = as_seen(job, {waiting = true, prioritized = true, delayed = true, ["waiting-children"] = true, completed = true, failed = true})
  answer = answer or prepared(job, "updateData")
  if answer then
    return answer
  end
  if call("EXISTS", job.key .. ":lock") == 1 then
    return {"locked", text_of(call("GET", job.key .. ":lock"))}
  end
  if call("HGET", job.key, "data") == order.data then
    return {"already", state}
  end
  return edit(job) or {"done"}
end
