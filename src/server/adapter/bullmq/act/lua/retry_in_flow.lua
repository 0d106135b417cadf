-- Has a failed job of a flow run again: at once, or, where jobs below it have yet to end, when they have. The library
-- itself puts a running job among those that wait for children, so that is the way: out of `failed`, into `active`, on.

-- A job below that failed and would be waited for. Reads up to a thousand children; a job with more goes on unchecked.
local function failed_below(job)
  local first = call("ZRANGE", job.key .. ":unsuccessful", 0, 0)[1]
  if first or call("SCARD", job.key .. ":dependencies") > order.most then
    return first
  end
  for _, child in ipairs(call("SMEMBERS", job.key .. ":dependencies")) do
    local p, id = apart(child)
    if p and typed(p .. "failed", "z") and call("ZSCORE", p .. "failed", id) then
      return child
    end
  end
end

-- A parent that is past waiting would meet a child that it does not expect. Gives an answer if so.
local function parent_waits(job)
  local parent = call("HGET", job.key, "parentKey")
  if not parent or parent == "" or call("EXISTS", parent) == 0 then
    return nil
  end
  local p, id = apart(parent)
  for _, set in ipairs({"waiting-children", "failed"}) do
    if not p then
      return {"refused", "parent_id", parent}
    elseif not typed(p .. set, "z") then
      return {"refused", "type", p .. set}
    elseif call("ZSCORE", p .. set, id) then
      return nil
    end
  end
  return {"refused", "parent_runs", parent}
end

-- Takes a job out of wherever a retry has put it: an end of a list, or among the prioritized. Gives what puts it back.
local function take(job)
  for _, list in ipairs({"wait", "paused"}) do
    for at, push in pairs({[0] = "LPUSH", [-1] = "RPUSH"}) do
      if call("LINDEX", P .. list, at) == job.id then
        call("LREM", P .. list, at == 0 and 1 or -1, job.id)
        return function() call(push, P .. list, job.id) end
      end
    end
  end
  local score = call("ZSCORE", P .. "prioritized", job.id)
  if score then
    call("ZREM", P .. "prioritized", job.id)
    return function() call("ZADD", P .. "prioritized", score, job.id) end
  end
end

local function step(job)
  if not as_chosen() then
    return {"family"}
  end
  for suffix, letter in pairs({[":dependencies"] = "e", [":unsuccessful"] = "z"}) do
    if not typed(job.key .. suffix, letter) then
      return {"refused", "type", job.key .. suffix}
    end
  end
  if call("ZSCORE", P .. "waiting-children", job.id) then
    return {"already", "waiting-children"}
  end
  local answer = kind(job.key) == "hash" and (order.below and parent_waits(job) or prepared(job, "moveToWaitingChildren"))
  if answer then
    return answer
  end
  local failed = failed_below(job)
  if failed then
    return {"refused", "child_failed", failed}
  end
  answer = retry_one(job)
  local waits = answer[1] == "done" and call("SCARD", job.key .. ":dependencies") > 0
  local put_back = waits and take(job)
  if not put_back then
    return answer
  end
  call("LPUSH", P .. "active", job.id)
  local result, broke = run("moveToWaitingChildren", job, {"0", "", now_ms(), job.id, P})
  if result ~= 0 then
    -- No worker holds it there: back to where a worker finds it.
    call("LREM", P .. "active", 1, job.id)
    put_back()
    return broke or {"broke", "the library did not let it wait: " .. tostring(result)}
  end
  return answer
end
