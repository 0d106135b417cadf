-- Many finished jobs at once, by the library's bulk script, where they are exactly those that it would take and it does the
-- same as one by one. Answers with a letter for each: "d" done, "-" not looked at.
local function plain(id, same_push)
  local record = call("HMGET", P .. id, "name", "parentKey", "priority", "opts")
  -- A job without a record, with a parent, or (where that matters) with a place of its own in the line goes by itself.
  if not record[1] or (record[2] and record[2] ~= "") then
    return false
  end
  if same_push and ((tonumber(record[3] or "0") or 0) > 0 or string.find(record[4] or "", '"lifo"', 1, true)) then
    return false
  end
  return call("EXISTS", P .. id .. ":lock") == 0
end

-- What was read of a job says already that it has a name and no parent; what is not only a record goes by itself.
local function fits(i)
  if not order.exact then
    return plain(order.ids[i], order.sweep == "retry")
  end
  local alike, more = same(order.exact[i])
  return alike and not more
end

local function step()
  if not as_chosen() then
    return {"family"}
  end
  local none = {"head", ""}
  local n, set = #order.ids, P .. order.state
  local script = order.sweep == "retry" and (lib.moveJobsToWait and "moveJobsToWait" or "retryJobs") or "cleanJobsInSet"
  local no_job = {id = "", key = P, from = order.state}
  local broke = order.sweep == "clean" and queue_fits() or prepared(no_job, script)
  if broke or not typed(set, "z") then
    return none
  end
  local last = string.format("%.0f", order.finished[n])
  local there = call("ZRANGEBYSCORE", set, 0, last, "WITHSCORES", "LIMIT", 0, n)
  for i = 1, n do
    if there[2 * i - 1] ~= order.ids[i] or tonumber(there[2 * i]) ~= order.finished[i] or not fits(i) then
      return none
    end
  end
  local before = call("ZCARD", set)
  local _
  if order.sweep == "retry" then
    _, broke = run(script, no_job, {tostring(n), last, order.state})
  else
    _, broke = run(script, no_job, {P, last, tostring(n), order.state})
  end
  if broke then
    return broke
  end
  if before - call("ZCARD", set) == n then
    return {"head", string.rep("d", n)}
  end
  -- Jobs that the library left out for a reason of its own are handled one by one.
  local letters = {}
  for i, id in ipairs(order.ids) do
    letters[i] = call("ZSCORE", set, id) and "-" or "d"
  end
  return {"head", table.concat(letters)}
end
