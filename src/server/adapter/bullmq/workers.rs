//! Who is connected: one `CLIENT LIST` for the whole store, however many queues and workers.
//!
//! | library | name of a connection | on |
//! |---|---|---|
//! | BullMQ and its port to Rust | `<prefix>:<base64 of the queue's name>`, and `:w:<worker's name>` from 5.3 on | the blocking one |
//! | Bull | `<prefix>:<base64>` | the blocking one |
//! | the port to Python, from 2.23 on | `<prefix>:<queue>`, and `:w:<worker's name>` | the blocking one and the other |
//! | the port to Elixir | the same | the blocking one |
//! | a listener to events | `<prefix>:<base64>:qe` | its only one |
//! | the port to .NET, older ones to Python | none | |
//!
//! Plain letters are valid base64 where their number is a multiple of four, so the queues that are known decide what a
//! name stands for. Of a name that fits none of them, only a connection that waits for work, or was just made, is taken
//! for a worker.
//!
//! A proxy that shares connections, a connection with a name of the application's own, or a server that forbids the
//! command hides workers although jobs are done: the collector notices that by the queues' events. The count is one of
//! worker objects, not of the jobs they can do at once.

use super::super::redis::link::Link;
use super::super::redis::reply;
use super::super::{Connected, ConnectionRole, Connections, QueueId, Trouble};
use super::layout::{Blocking, Layouts};
use crate::model::job::cut;
use crate::model::worker::{Generation, Worker};
use crate::model::{Millis, now};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use redis::RedisError;
use std::collections::{HashMap, HashSet};

/// Characters of a name that are kept: a name is as long as its application likes.
const NAME_MAX: usize = 200;

/// Reads who is connected.
pub async fn read(link: &Link, layouts: &Layouts, known: &HashSet<QueueId>) -> Result<Connections, Trouble> {
    let mut pipe = redis::pipe();
    pipe.cmd("CLIENT").arg("LIST").arg("TYPE").arg("normal");
    match link.run(&mut pipe).await?.into_iter().next() {
        Some(Ok(list)) => {
            let list = reply::exact(&list).unwrap_or_default();
            link.refusals().note_clients(&list);
            let connected = parse(&list, link.database(), known, now());
            layouts.note_blocking(blocking(&connected));
            Ok(Connections::Known(connected))
        }
        Some(Err(error)) => Ok(Connections::Refused(refusal(&error))),
        None => Ok(Connections::Refused("CLIENT LIST was not answered.".into())),
    }
}

/// Why there is no list, and which command to permit.
fn refusal(error: &RedisError) -> String {
    if error.code() == Some("NOPERM") {
        return "CLIENT LIST is not permitted to Drover's user: add +client|list to its ACL.".into();
    }
    let says = error.detail().map_or_else(|| error.to_string(), str::to_owned);
    format!(
        "CLIENT LIST is refused, as some hosted servers do: {}",
        cut(&says, NAME_MAX)
    )
}

/// Reads the lines of `CLIENT LIST`: fields as `name=value`, separated by spaces.
fn parse(list: &str, database: i64, known: &HashSet<QueueId>, now: Millis) -> Vec<Connected> {
    let lines = list.lines();
    lines
        .filter_map(|line| connection(line, database, known, now))
        .collect()
}

fn connection(line: &str, database: i64, known: &HashSet<QueueId>, now: Millis) -> Option<Connected> {
    // Most connections have no name, or one that names no queue: one field tells that.
    let field = |wanted: &str| line.split(' ').find_map(|field| field.strip_prefix(wanted));
    let name = field("name=").filter(|name| name.contains(':'))?;
    // The list is of the whole server. A queue of the same name in another of its databases is another queue.
    if field("db=").is_some_and(|db| db != database.to_string()) {
        return None;
    }
    let purpose = Purpose::of(name, known, Doing::of(field("cmd=").unwrap_or_default()))?;
    let mut worker = Worker {
        id: 0,
        name: purpose.worker.map(|name| cut(name, NAME_MAX)),
        address: String::new(),
        since: now,
        idle_s: 0,
        generation: None,
        client: None,
    };
    for field in line.split(' ') {
        let Some((field, value)) = field.split_once('=') else {
            continue;
        };
        match field {
            "id" => worker.id = value.parse().unwrap_or(0),
            "addr" => worker.address = cut(value, NAME_MAX),
            "age" => worker.since = now - value.parse::<Millis>().unwrap_or(0).saturating_mul(1000),
            "idle" => worker.idle_s = value.parse().unwrap_or(0),
            "cmd" => worker.generation = generation(value),
            "lib-name" if !value.is_empty() => worker.client = Some(cut(value, NAME_MAX)),
            "lib-ver" if !value.is_empty() => {
                if let Some(client) = &mut worker.client {
                    client.push(' ');
                    client.push_str(&cut(value, NAME_MAX));
                }
            }
            _ => {}
        }
    }
    Some(Connected {
        queue: purpose.queue.as_str().into(),
        role: purpose.role,
        worker,
    })
}

/// What the last command of a connection tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Doing {
    /// It waits for work, or for events.
    Blocks,
    /// It was made, named, and has done nothing since.
    Nothing,
    /// Anything else.
    Other,
}

impl Doing {
    fn of(command: &str) -> Self {
        match command {
            "xread" => Self::Blocks,
            _ if generation(command).is_some() => Self::Blocks,
            // Servers before 7 leave the subcommand out.
            "client" | "hello" | "auth" | "select" | "info" | "ping" => Self::Nothing,
            _ if command.starts_with("client|") => Self::Nothing,
            _ => Self::Other,
        }
    }
}

/// What a connection is there for.
#[derive(Debug, PartialEq, Eq)]
struct Purpose<'a> {
    queue: String,
    role: ConnectionRole,
    /// The worker's own name.
    worker: Option<&'a str>,
}

impl<'a> Purpose<'a> {
    /// Reads a connection's name.
    fn of(name: &'a str, known: &HashSet<QueueId>, doing: Doing) -> Option<Self> {
        let mut guess = None;
        for (id, role, worker) in parts(name) {
            let of = |queue: String| Self { queue, role, worker };
            if known.contains(id) {
                // In plain text a worker names both of its connections. It is counted by the one that blocks, or will.
                let counts = role == ConnectionRole::Listener || doing != Doing::Other;
                return counts.then(|| of(id.to_owned()));
            }
            let decoded = decoded(id);
            if let Some(queue) = decoded.as_ref().filter(|queue| known.contains(queue.as_str())) {
                return Some(of(queue.clone()));
            }
            guess = guess.or_else(|| match (decoded, doing) {
                (_, Doing::Other) => None,
                (Some(queue), _) => Some(of(queue)),
                (None, Doing::Blocks) if role == ConnectionRole::Worker => Some(of(id.to_owned())),
                (None, _) => None,
            });
        }
        guess
    }
}

/// The ways to take a name apart: the part that names the queue, the role, and the worker's own name. A queue may be called
/// like what stands behind it.
fn parts(name: &str) -> impl Iterator<Item = (&str, ConnectionRole, Option<&str>)> {
    let workers = name.match_indices(":w:").map(|(at, mark)| {
        let worker = &name[at + mark.len()..];
        (
            &name[..at],
            ConnectionRole::Worker,
            Some(worker).filter(|name| !name.is_empty()),
        )
    });
    let listener = name.strip_suffix(":qe").map(|id| (id, ConnectionRole::Listener, None));
    workers.chain(listener).chain([(name, ConnectionRole::Worker, None)])
}

/// The queue's id where its name is in base64, and what it stands for is text.
fn decoded(id: &str) -> Option<String> {
    let (prefix, encoded) = id.rsplit_once(':')?;
    let bytes = STANDARD.decode(encoded).ok()?;
    let text = std::str::from_utf8(&bytes).ok()?;
    let is_text = !text.is_empty() && !text.chars().any(char::is_control);
    is_text.then(|| format!("{prefix}:{text}"))
}

/// On which command the workers of each queue block: evidence of the library's generation.
fn blocking(connected: &[Connected]) -> HashMap<QueueId, Blocking> {
    let worker = |connection: &&Connected| connection.role == ConnectionRole::Worker;
    connected
        .iter()
        .filter(worker)
        .filter_map(|connection| {
            let blocking = match connection.worker.generation? {
                Generation::List => Blocking::List,
                Generation::Marker => Blocking::Marker,
            };
            Some((connection.queue.clone(), blocking))
        })
        .collect()
}

/// Which libraries block in this command.
fn generation(command: &str) -> Option<Generation> {
    match command {
        "bzpopmin" => Some(Generation::Marker),
        "brpoplpush" | "blmove" => Some(Generation::List),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(queue: &str) -> String {
        STANDARD.encode(queue)
    }

    fn known(queues: &[&str]) -> HashSet<QueueId> {
        queues.iter().map(|queue| QueueId::from(*queue)).collect()
    }

    #[test]
    fn workers_are_told_by_the_names_of_their_connections() {
        let list = format!(
            "id=1 addr=10.0.0.1:501 name=bull:{mail} age=60 idle=2 db=0 cmd=bzpopmin lib-name=ioredis lib-ver=5.11.1\n\
             id=2 addr=10.0.0.2:502 name=bull:{mail}:w:eu-1 age=5 idle=0 db=0 cmd=brpoplpush lib-name= lib-ver=\n\
             id=3 name=bull:{mail}:qe cmd=xread\nid=4 name={{bull}}:{ship} cmd=client|setname\nid=5 name= cmd=get\n\
             id=6 name=sidekiq cmd=get\nid=7 name=bull:{mail} db=3 cmd=bzpopmin\n",
            mail = name("mail"),
            ship = name("ship:ping"),
        );
        let found = parse(&list, 0, &known(&["bull:mail"]), 100_000);
        let told: Vec<(&str, ConnectionRole, u64)> = found.iter().map(|c| (&*c.queue, c.role, c.worker.id)).collect();
        assert_eq!(
            told,
            [
                ("bull:mail", ConnectionRole::Worker, 1),
                ("bull:mail", ConnectionRole::Worker, 2),
                ("bull:mail", ConnectionRole::Listener, 3),
                ("{bull}:ship:ping", ConnectionRole::Worker, 4),
            ],
            "the last one serves a queue of another database"
        );
        let first = &found[0].worker;
        assert_eq!((first.since, first.idle_s, first.name.as_deref()), (40_000, 2, None));
        assert_eq!(first.address, "10.0.0.1:501");
        assert_eq!(first.client.as_deref(), Some("ioredis 5.11.1"));
        assert_eq!(first.generation, Some(Generation::Marker));
        let second = &found[1].worker;
        assert_eq!(second.name.as_deref(), Some("eu-1"));
        assert_eq!(second.generation, Some(Generation::List));
        assert_eq!(second.client, None, "an empty name is no name");
        assert_eq!(found[3].worker.generation, None, "it has not asked for work yet");
    }

    #[test]
    fn a_queue_in_plain_text_is_told_from_one_in_base64_by_the_queues_that_are_known() {
        let told = |line: &str, queues: &[&str]| {
            let found = parse(line, 0, &known(queues), 0);
            let told = |c: &Connected| format!("{} {:?} {}", c.queue, c.role, c.worker.name.as_deref().unwrap_or("-"));
            found.first().map(told)
        };
        let worker = |queue: &str, name: &str| Some(format!("{queue} Worker {name}"));
        // Eight letters are valid base64; decoded they are no text.
        for (line, queues, wanted) in [
            (
                "id=1 name=bull:mailbox1 cmd=bzpopmin",
                &["bull:mailbox1"][..],
                worker("bull:mailbox1", "-"),
            ),
            (
                "id=1 name=bull:mailbox1 cmd=client|setname",
                &["bull:mailbox1"],
                worker("bull:mailbox1", "-"),
            ),
            (
                "id=1 name=bull:mailbox1:w:py-1 cmd=bzpopmin",
                &["bull:mailbox1"],
                worker("bull:mailbox1", "py-1"),
            ),
            // The other connection of the same worker.
            ("id=1 name=bull:mailbox1:w:py-1 cmd=evalsha", &["bull:mailbox1"], None),
            // Not found yet, or not there.
            (
                "id=1 name=bull:mailbox1 cmd=bzpopmin",
                &[],
                worker("bull:mailbox1", "-"),
            ),
            ("id=1 name=app:mailbox1 cmd=get", &[], None),
            ("id=1 name=app:mailbox1 cmd=client", &[], None),
            // What decodes to text is a plain name where that is known.
            ("id=1 name=bull:bWFp cmd=bzpopmin", &[], worker("bull:mai", "-")),
            (
                "id=1 name=bull:bWFp cmd=bzpopmin",
                &["bull:bWFp"],
                worker("bull:bWFp", "-"),
            ),
            ("id=1 name=app:bWFp cmd=get", &[], None),
            // Names may look like what stands around them.
            (
                "id=1 name=bull:a:w:b:w:c cmd=bzpopmin",
                &["bull:a:w:b"],
                worker("bull:a:w:b", "c"),
            ),
            (
                "id=1 name=bull:x:qe cmd=bzpopmin",
                &["bull:x:qe"],
                worker("bull:x:qe", "-"),
            ),
        ] {
            assert_eq!(told(line, queues), wanted, "{line} beside {queues:?}");
        }
    }

    #[test]
    fn a_name_that_is_no_queue_is_nobody() {
        for odd in ["", ":", "bull:", "bull:not base64!", ":w:", "x:w:y"] {
            assert_eq!(
                parse(&format!("id=1 name={odd} cmd=get"), 0, &known(&[]), 0),
                [],
                "{odd}"
            );
        }
        let long = format!(
            "id=1 name=bull:{}:w:{} cmd=bzpopmin age=x",
            name("q"),
            "n".repeat(10_000)
        );
        let found = parse(&long, 0, &known(&[]), 7);
        assert_eq!(
            found[0].worker.name.as_ref().map(|n| n.chars().count()),
            Some(NAME_MAX + 1)
        );
        assert_eq!(found[0].worker.since, 7, "an age that is no number is no age");
    }
}
