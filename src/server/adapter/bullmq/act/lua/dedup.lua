-- Removes the deduplication key that a job holds.
local function step(job)
  local answer = as_seen(job, ANY)
  if answer then
    return answer
  end
  local id = call("HGET", job.key, "deid")
  if not id then
    return {"refused", "no_dedup"}
  end
  job.dedup = P .. "de:" .. id
  if not typed(job.dedup, "s") then
    return {"refused", "type", job.dedup}
  end
  local owner = call("GET", job.dedup)
  if not owner then
    return {"already", "free"}
  elseif owner ~= job.id then
    return {"refused", "dedup_of", owner}
  end
  if not lib.removeDeduplicationKey then
    -- Bull's own way is to delete the key.
    call("DEL", job.dedup)
    return {"done"}
  end
  local result, broke = run("removeDeduplicationKey", job, {job.id})
  if broke then
    return broke
  end
  return result == 1 and {"done"} or {"already", "free"}
end
