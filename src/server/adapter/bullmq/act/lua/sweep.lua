-- A batch of a whole state. The library's own script does it where that does the same as one job after the other; else
-- they are done one after the other.
local FEW, WINDOW, FAR = 200, 500, 5000

local function target_of(id, state)
  return {id = id, key = P .. id, state = state}
end

local function swept(done, more)
  return {"done", "", tostring(done), more and "1" or "0"}
end

-- One after the other, at most a few.
local function each(ids, state, act)
  local done = 0
  for i = 1, math.min(#ids, FEW) do
    local answer = act(target_of(ids[i], state))
    if answer[1] == "done" then
      done = done + 1
    elseif answer[1] == "broke" then
      return nil, answer
    end
  end
  return done
end

-- Whether a schedule goes on from this job.
local function of_schedule(id)
  local due = string.match(id, "^repeat:.*:(%d+)$")
  return due and call("ZCOUNT", P .. "repeat", due, due) > 0
end

local function retry()
  local set = P .. order.state
  local answer = prepared({id = "", key = P, from = order.state}, "reprocessJob", lib.moveJobsToWait and "moveJobsToWait" or "retryJobs")
  if answer then
    return answer
  end
  local ids = call("ZRANGEBYSCORE", set, 0, order["until"], "LIMIT", 0, order.limit)
  if #ids == 0 then
    return swept(0, false)
  end
  local alike = true
  for _, id in ipairs(ids) do
    local record = call("HMGET", P .. id, "name", "priority", "parentKey")
    -- An id without a record would be run with nothing in it; what the bulk script forgets differs by generation.
    if not record[1] or (order.heeds_priority and (tonumber(record[2] or "0") or 0) > 0) or (order.heeds_parents and record[3]) then
      alike = false
      break
    end
  end
  local done, broke, _ = #ids, nil, nil
  if alike then
    local args = {tostring(#ids), order["until"], order.state}
    _, broke = run(lib.moveJobsToWait and "moveJobsToWait" or "retryJobs", {id = "", key = P, from = order.state}, args)
  else
    done, broke = each(ids, order.state, retry_one)
  end
  return broke or swept(done, done > 0 and call("ZCOUNT", set, 0, order["until"]) > 0)
end

local function promote()
  local answer = prepared({id = "", key = P}, "promote")
  if answer then
    return answer
  end
  local ids, from = {}, 0
  while #ids < math.min(FEW, order.limit) and from < FAR do
    local some = call("ZRANGE", P .. "delayed", from, from + WINDOW - 1)
    for _, id in ipairs(some) do
      if #ids < math.min(FEW, order.limit) and not of_schedule(id) then
        ids[#ids + 1] = id
      end
    end
    if #some < WINDOW then
      break
    end
    from = from + WINDOW
  end
  local done, broke = each(ids, "delayed", promote_one)
  return broke or swept(done, done > 0)
end

local FIELDS = {
  delayed = {"processedOn", "timestamp"}, prioritized = {"timestamp"}, wait = {"finishedOn", "processedOn", "timestamp"},
  paused = {"finishedOn", "processedOn", "timestamp"},
}

local function old_enough(id, set)
  for _, time in ipairs(call("HMGET", P .. id, unpack(FIELDS[set]))) do
    if time then
      return (tonumber(time) or 0) <= tonumber(order["until"])
    end
  end
  return true
end

-- The jobs of a set that are old enough, and whether they are the very ones that the library would take.
local function oldest(set)
  if set == "completed" or set == "failed" then
    return call("ZRANGEBYSCORE", P .. set, 0, order["until"], "LIMIT", 0, order.limit), true
  end
  local ids, same = {}, true
  local list = set == "wait" or set == "paused"
  local from = 0
  while #ids < order.limit and from < FAR do
    local some = list and call("LRANGE", P .. set, -from - order.limit, -from - 1)
      or call("ZRANGE", P .. set, from, from + order.limit - 1)
    for _, id in ipairs(some) do
      if is_marker(id) then
        same = false
      elseif old_enough(id, set) then
        if #ids < order.limit then
          ids[#ids + 1] = id
        end
      else
        same = false
      end
    end
    if #some < order.limit then
      break
    end
    from = from + order.limit
  end
  return ids, same
end

-- Whether the library's script would do more than remove a job: it deletes a parent with its last child, and before 5.16
-- ends a schedule with its next job.
local function entangled(id, finished)
  if not finished and string.sub(id, 1, 7) == "repeat:" then
    return true
  end
  local parent = call("HGET", P .. id, "parentKey")
  return parent and parent ~= "" and call("SISMEMBER", parent .. ":dependencies", P .. id) == 1
end

local function clean()
  local finished = order.state == "completed" or order.state == "failed"
  local sets = order.state == "waiting" and {"paused", "wait"} or {order.state}
  local done = 0
  local remain = 0
  for _, set in ipairs(sets) do
    if done == 0 then
      local answer = prepared({id = "", key = P, from = set}, "cleanJobsInSet", "removeJob")
      if answer or not typed(P .. set, (set == "wait" or set == "paused") and "l" or "z") then
        return answer or {"refused", "type", P .. set}
      end
      local ids, alike = oldest(set)
      for _, id in ipairs(ids) do
        if not alike or entangled(id, finished) then
          alike = false
          break
        end
      end
      local broke
      if #ids > 0 and alike then
        local removed
        removed, broke = run("cleanJobsInSet", {id = "", key = P, from = set}, {P, order["until"], tostring(#ids), set})
        done = removed and #removed or 0
      end
      -- Bull and version 3 compare the age of delayed jobs with what their set is sorted by, and remove none.
      if #ids > 0 and done == 0 and not broke then
        done, broke = each(ids, finished and set or nil, remove_one)
      end
      if broke then
        return broke
      end
    end
    if finished then
      remain = remain + call("ZCOUNT", P .. set, 0, order["until"])
    elseif set == "wait" or set == "paused" then
      remain = remain + call("LLEN", P .. set)
    else
      remain = remain + call("ZCARD", P .. set)
    end
  end
  return swept(done, done > 0 and remain > 0)
end

local function size()
  local n = 0
  for _, list in ipairs({"wait", "paused", "active"}) do
    n = n + call("LLEN", P .. list)
  end
  for _, set in ipairs({"completed", "failed", "delayed", "prioritized", "waiting-children"}) do
    n = n + call("ZCARD", P .. set)
  end
  return n
end

local function obliterate()
  local _, paused = layout(P, order.blocking)
  if not paused then
    return {"refused", "not_paused"}
  end
  if order.force ~= "force" and call("LLEN", P .. "active") > 0 then
    return {"refused", "active"}
  end
  local answer = prepared({id = "", key = P}, "obliterate", "removeJob")
  if answer then
    return answer
  end
  local before = size()
  -- The library leaves parents that wait for children behind.
  local parents = call("ZRANGE", P .. "waiting-children", 0, FEW - 1)
  if #parents > 0 then
    local done, broke = each(parents, "waiting-children", remove_one)
    if broke or done > 0 then
      return broke or swept(done, true)
    end
  end
  local result, broke = run("obliterate", {id = "", key = P}, {tostring(order.limit), order.force})
  if broke then
    return broke
  elseif result == 0 then
    call("DEL", P .. "limiter")
  end
  return swept(before - size(), result == 1)
end

local function step()
  if not as_chosen() then
    return {"family"}
  end
  return ({retry = retry, promote = promote, clean = clean, obliterate = obliterate})[order.sweep]()
end
