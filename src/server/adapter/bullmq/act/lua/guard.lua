-- What every action begins with. Nothing here writes: whatever it raises or refuses, nothing was done.
--
-- The order, in MessagePack: p (what the queue's keys begin with), letters (the layouts for which the library's scripts
-- behind this were chosen), paused (1 or 0 where that mattered to the choice), blocking (on what its workers block), both
-- (clients of 5 and of 6 have opened it lately, so that the version does not tell which of them works), jobs, and what the action itself needs.
local order = cmsgpack.unpack(ARGV[1])
local P = order.p .. ":"
local call = redis.call
local lib = {}

local function kind(key)
  local answer = call("TYPE", key)
  return type(answer) == "table" and answer.ok or answer
end

local function is_marker(id)
  if not id or string.sub(id, 1, 2) ~= "0:" then
    return false
  end
  local due = string.sub(id, 3)
  return due == "0" or (#due >= 13 and not string.find(due, "[^0-9.]"))
end

-- The major version that the last client wrote, where it means one of ours.
local function major(version)
  local package, number = string.match(version, "^([^:]*):(.*)$")
  if package ~= "bullmq" or number == "5.65.1" then
    return nil
  end
  local first = string.match(number, "^[^.]*")
  if first == "1" then
    return 6
  end
  return string.match(first, "^[3-6]$") and tonumber(first)
end

-- Whether the newest entry of a stream is one that BullMQ wrote: any application may call a stream "events".
local function is_event(stream)
  local entry = call("XREVRANGE", stream, "+", "-", "COUNT", 1)[1]
  return entry and entry[2][1] == "event"
end

-- Whether a queue is one of Bull or BullMQ, and which of the two: "B", "M", or nothing where no library is known for it.
local function library(p, meta)
  local version = meta[2] or ""
  if string.match(version, "^([^:]*):") == "bullmq-pro" then
    return nil
  end
  for _, set in ipairs({"groups", "groups:limit", "groups:max", "groups:paused"}) do
    if kind(p .. set) == "zset" then
      return nil
    end
  end
  if meta[3] or string.find(version, "^bullmq[^:]*:") then
    return "M"
  elseif kind(p .. "events") == "stream" then
    return is_event(p .. "events") and "M" or nil
  elseif kind(p .. "jobs") == "hash" and call("HEXISTS", p .. "jobs", "opts") == 0 then
    return nil
  end
  local counter = redis.pcall("GET", p .. "id")
  local counts = type(counter) == "string" and string.find(counter, "^%d+$")
  return (counts or kind(p .. "meta-paused") == "string") and "B" or nil
end

-- The layout of a queue's keys now, and whether it is paused: layout/signs.rs once more, in the same order. "x" where no
-- library is known for it: none of the letters that a script is chosen for.
local function layout(p, blocking)
  local meta = call("HMGET", p .. "meta", "paused", "version", "opts.maxLenEvents")
  local paused = meta[1] and true or false
  local of = library(p, meta)
  if not of then
    return "x", paused
  elseif of == "B" then
    return "B", kind(p .. "meta-paused") == "string"
  end
  if kind(p .. "priority") == "zset" then
    return "3", paused
  end
  local version = major(meta[2] or "")
  local before_five = version == 3 and "3" or "4"
  for _, list in ipairs({"wait", "paused"}) do
    if is_marker(call("LINDEX", p .. list, 0)) or is_marker(call("LINDEX", p .. list, -1)) then
      return before_five, paused
    end
  end
  if blocking == "l" then
    return before_five, paused
  end
  local older = (version == 3 or version == 4) and not blocking and kind(p .. "marker") ~= "zset"
  if paused and not older then
    local waiting, aside = call("LLEN", p .. "wait"), call("LLEN", p .. "paused")
    if aside > 0 and waiting == 0 then
      return "5", paused
    elseif waiting > 0 and aside == 0 then
      return "6", paused
    end
  end
  if p == P and order.both and (version == 5 or version == 6) then
    version = nil
  end
  return version and tostring(version) or "u", paused
end

-- The same of another queue, looked at once: jobs of one run often have relatives in the same queue.
local others = {}
local function layout_of(p)
  if not others[p] then
    others[p] = {layout(p)}
  end
  return others[p][1], others[p][2]
end

-- Whether the scripts that were chosen are still the right ones. Within one run no other client can change that.
local settled, undecided
local function as_chosen()
  if settled == nil then
    local letter, paused = layout(P, order.blocking)
    undecided = letter == "u"
    settled = string.find(order.letters, letter, 1, true) ~= nil
      and (order.paused == nil or (order.paused == 1) == paused)
  end
  return settled
end

local SCORED = {"completed", "failed", "delayed", "prioritized", "waiting-children"}
local NEAR = 10000

-- Whether an id is in a list: near either end, or, in a list too long to search, perhaps.
local function listed(list, id)
  if call("LPOS", list, id, "MAXLEN", NEAR) or call("LPOS", list, id, "RANK", -1, "MAXLEN", NEAR) then
    return true
  end
  return call("LLEN", list) > 2 * NEAR and "perhaps"
end

-- In which state a job is, by the sets and lists and not by what its record says.
local function place(id)
  for _, set in ipairs(SCORED) do
    if call("ZSCORE", P .. set, id) then
      return set
    end
  end
  if call("LPOS", P .. "active", id) then
    return "active"
  end
  return (listed(P .. "wait", id) or listed(P .. "paused", id)) and "waiting" or "nowhere"
end

local function is_in(id, state)
  if state == "active" then
    return call("LPOS", P .. "active", id)
  elseif state == "waiting" then
    return place(id) == "waiting"
  end
  return call("ZSCORE", P .. state, id)
end

local ANY = {waiting = true, prioritized = true, delayed = true, ["waiting-children"] = true, active = true, completed = true,
  failed = true, nowhere = true}

-- What most steps ask of a job's record, in one go. Nil and the type of its key if that is no record.
local function record_of(job)
  local values = redis.pcall("HMGET", job.key, "finishedOn", "attemptsMade", "atm", "parentKey", "opts", "name")
  if values.err or not (values[1] or values[2] or values[3] or values[4] or values[5] or values[6]) then
    local is = kind(job.key)
    if is ~= "hash" then
      return nil, is
    end
  end
  return {finished = values[1], made = values[2], atm = values[3], parent = values[4], opts = values[5]}
end

-- Whether a job is as it was shown, and in a state that the action is for. Gives an answer if not, else nil and its state.
local function as_seen(job, fit, already)
  if not as_chosen() then
    return {"family"}
  end
  local record, is = record_of(job)
  if not record then
    return is == "none" and {"gone"} or {"refused", "type", job.key}
  end
  job.record = record
  -- Releases of before the versions were written leave nothing but their jobs to tell them by.
  if undecided and record.made and not record.atm then
    return {"refused", "undecided"}
  end
  local state = job.state
  if not state or not is_in(job.id, state) then
    state = place(job.id)
    if already and already[state] then
      return {"already", state}
    elseif job.state then
      return {"changed", state}
    end
  end
  if already and already[state] then
    return {"already", state}
  elseif not fit[state] then
    return {"changed", state, "unfit"}
  end
  if job.finished and tonumber(record.finished or "") ~= job.finished then
    return {"changed", state, "finished"}
  end
  if job.attempts and (tonumber(record.made or record.atm or "0") or 0) ~= job.attempts then
    return {"changed", state, "attempts"}
  end
  return nil, state
end

local LETTERS = {string = "s", list = "l", set = "e", zset = "z", hash = "h", stream = "x"}
local known = {}

-- Whether a key has the type that the library takes for granted: half-way through a script it is too late to find out.
local function typed(key, letter)
  if letter == "-" then
    return true
  end
  local is = known[key]
  if not is then
    is = kind(key)
    known[key] = is
  end
  return is == "none" or LETTERS[is] == letter
end

-- A library script's keys, for this job.
local function keys_of(script, job)
  local keys = {}
  for i = 1, script.n do
    keys[i] = KEYS[script.at + i]
  end
  for i, suffix in pairs(script.job) do
    keys[i] = job.key .. suffix
  end
  if script.state and job.from then
    keys[script.state] = P .. job.from
  end
  if script.dedup and job.dedup then
    keys[script.dedup] = job.dedup
  end
  return keys
end

-- What the library reads in the middle of its work and does not expect to be anything but a number.
local numbers
local function plain_meta(p)
  local meta = call("HMGET", p .. "meta", "opts.maxLenEvents", "concurrency")
  return (not meta[1] or string.find(meta[1], "^%d+$")) and (not meta[2] or tonumber(meta[2]))
end

-- Looks at everything that these scripts will touch for this job. Gives an answer if one of them would break off.
local function prepared(job, ...)
  for _, name in ipairs({...}) do
    local script = lib[name]
    for i, key in ipairs(keys_of(script, job)) do
      if not typed(key, string.sub(script.kinds, i, i)) then
        return {"refused", "type", key}
      end
    end
  end
  if numbers == nil then
    numbers = plain_meta(P) and true or false
    local counter = call("GET", P .. "pc")
    if counter and not string.find(counter, "^%-?%d+$") then
      numbers = false
    end
  end
  if not numbers then
    return {"refused", "meta"}
  end
end

-- Runs one of the library's scripts. What it raises may have come after a write.
local function run(name, job, args)
  local script = lib[name]
  local fine, answer = pcall(script.run, keys_of(script, job), args)
  if fine then
    return answer
  end
  return nil, {"broke", type(answer) == "table" and answer.err or tostring(answer)}
end

-- A key of a job taken apart as the library does it: at the last colon.
local function apart(key)
  local p, id = string.match(key, "^(.*:)([^:]*)$")
  return p, id
end

-- Whether the library can find the parent of a job, and can let it go on. Gives an answer if not.
local function parent_fits(job)
  local parent = job.record.parent
  if not parent or parent == "" or call("EXISTS", parent) == 0 then
    return nil
  end
  for suffix, letter in pairs({[""] = "h", [":dependencies"] = "e", [":processed"] = "h", [":failed"] = "h", [":unsuccessful"] = "z"}) do
    if not typed(parent .. suffix, letter) then
      return {"refused", "type", parent .. suffix}
    end
  end
  local p = apart(parent)
  if not p or (p ~= P and call("EXISTS", p .. "id") == 0) then
    return {"refused", "parent_id", parent}
  end
  if p ~= P then
    if not typed(p .. "meta", "h") then
      return {"refused", "type", p .. "meta"}
    end
    if not plain_meta(p) then
      return {"refused", "meta"}
    end
    for suffix, letter in pairs({wait = "l", paused = "l", active = "l", marker = "z", events = "x", ["waiting-children"] = "z", prioritized = "z", delayed = "z"}) do
      if not typed(p .. suffix, letter) then
        return {"refused", "type", p .. suffix}
      end
    end
    -- A parent that goes on in a paused queue of another generation would be put where that one does not look.
    local letter, paused = layout_of(p)
    if letter == "x" then
      return {"refused", "relative", parent}
    elseif paused and not string.find(order.letters, letter, 1, true) then
      return {"refused", "parent_family", parent}
    end
  end
end

-- The store's clock, in milliseconds, as text.
local function now_ms()
  local time = call("TIME")
  return string.format("%.0f", tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000))
end

local function text_of(value)
  return value and tostring(value) or ""
end
