-- Has a failed or completed job run again, with other data if asked.
local function retry_one(job)
  local answer, state = as_seen(job, order.fit, {waiting = true, prioritized = true, active = true})
  answer = answer or prepared(job, "reprocessJob", order.data and "updateData" or nil) or parent_fits(job)
  if answer then
    return answer
  end
  job.from = state
  if call("EXISTS", job.key .. ":lock") == 1 then
    return {"locked", text_of(call("GET", job.key .. ":lock"))}
  end
  if order.data then
    local edited = edit(job)
    if edited then
      return edited
    end
  end
  local push = "LPUSH"
  local opts = job.record.opts
  if opts and string.find(opts, '"lifo"', 1, true) then
    local fine, parsed = pcall(cjson.decode, opts)
    if fine and type(parsed) == "table" and parsed.lifo == true then
      push = "RPUSH"
    end
  end
  local args = {job.id, push, state == "failed" and "failedReason" or "returnvalue", state, order.reset, order.reset}
  if order.bull then
    args = {job.id, push, order.token, now_ms()}
  end
  local result, broke = run("reprocessJob", job, args)
  if broke then
    return broke
  end
  if result ~= 1 then
    -- Bull counts its reasons in its own way.
    local meant = order.bull and ({[0] = -1, [-1] = -6, [-2] = -3})[result] or result
    return {"refused", "library", tostring(meant)}
  end
  -- Generations before 5 have no word for this, and later ones leave the field of earlier ones.
  if order.reset == "1" and job.record.made then
    call("HSET", job.key, "attemptsMade", "0")
  end
  return {"done"}
end
