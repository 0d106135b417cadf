-- Removes a job's log lines but the newest, as the library's own client does: without a script.
local function step(job)
  local answer, state = as_seen(job, ANY)
  if answer then
    return answer
  end
  local logs = job.key .. ":logs"
  if not typed(logs, "l") then
    return {"refused", "type", logs}
  end
  if call("LLEN", logs) <= order.keep then
    return {"already", "same"}
  end
  if order.keep == 0 then
    call("DEL", logs)
  else
    call("LTRIM", logs, -order.keep, -1)
  end
  return {"done"}
end
