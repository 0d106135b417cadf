-- Has a delayed job wait this long from now.
local function step(job)
  local answer = as_seen(job, {delayed = true})
  answer = answer or prepared(job, "changeDelay")
  if answer then
    return answer
  end
  local now = now_ms()
  local args = {order.delay, now, job.id, job.key}
  if order.scored then
    -- Before 5.16 the caller computes the score; its low bits keep jobs of one millisecond in order.
    local counter = string.match(job.id, "^%d+$") and math.fmod(tonumber(job.id), 4096) or 0
    local score = (tonumber(now) + tonumber(order.delay)) * 4096 + counter
    args = {order.delay, string.format("%.0f", score), job.id}
  end
  local result, broke = run("changeDelay", job, args)
  if broke then
    return broke
  end
  return result == 0 and {"done"} or {"refused", "library", tostring(result)}
end
