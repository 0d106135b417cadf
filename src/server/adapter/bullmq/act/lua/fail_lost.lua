-- Fails a job that is active and that no worker holds.
local function step(job)
  local answer = as_seen(job, {active = true}, {failed = true})
  answer = answer or prepared(job, "moveToFinished") or parent_fits(job)
  if answer then
    return answer
  end
  local lock = call("GET", job.key .. ":lock")
  if lock then
    return {"locked", lock}
  end
  local parent = call("HGET", job.key, "parent")
  if parent and not pcall(cjson.decode, parent) then
    return {"refused", "parent"}
  end
  local fine, opts = pcall(cjson.decode, call("HGET", job.key, "opts") or "{}")
  if not fine or type(opts) ~= "table" then
    opts = {}
  end
  local made = call("HMGET", job.key, "attemptsMade", "atm")
  local now = now_ms()
  local options = {
    token = "0", keepJobs = {count = -1}, attempts = tonumber(opts.attempts) or 1,
    attemptsMade = tonumber(made[1] or made[2] or "0") or 0, lockDuration = 30000, maxMetricsSize = "",
    fpof = opts.fpof == true, cpof = opts.cpof == true, idof = opts.idof == true, rdof = opts.rdof == true,
  }
  local args
  if order.form == "bull" then
    local event = cjson.encode({jobId = job.id, val = order.error})
    args = {job.id, now, "failedReason", order.error, "0", cmsgpack.pack({count = -1}), event, "0", P, "0", "30000", ""}
  elseif order.form == "event" then
    args = {job.id, now, "failedReason", order.error, "failed", "", "0", P, cmsgpack.pack(options)}
  else
    args = {job.id, now, "failedReason", order.error, "failed", "0", P, cmsgpack.pack(options), ""}
  end
  local result, broke = run("moveToFinished", job, args)
  if broke then
    return broke
  end
  return result == 0 and {"done"} or {"refused", "library", tostring(result)}
end
