//! Who is connected: one `CLIENT LIST` for the whole store, however many queues and workers.
//!
//! A worker names its blocking connection `<prefix>:<base64 of the queue's name>`, with
//! `:w:<worker's name>` behind it when the worker has one (BullMQ 5.3 and later); somebody who listens
//! to events ends its name with `:qe`. Bull and BullMQ 3 and 4 use the plain form. That is all there
//! is: a proxy that shares connections, a connection with a name of the application's own, or a
//! server that forbids the command hides workers although jobs are done. What is counted are worker
//! objects, not the jobs they can do at once.

use super::super::redis::link::Link;
use super::super::redis::reply;
use super::super::{Connected, Connections, QueueId, Role, Trouble};
use super::layout::{Blocking, Layouts};
use crate::model::exact::text_of;
use crate::model::job::cut;
use crate::model::worker::{Generation, Worker};
use crate::model::{Millis, now};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use redis::RedisError;
use std::collections::HashMap;

/// Characters of a name that are kept: a name is as long as its application likes.
const NAME_MAX: usize = 200;

/// Reads who is connected.
pub async fn read(link: &Link, layouts: &Layouts) -> Result<Connections, Trouble> {
    let mut pipe = redis::pipe();
    pipe.cmd("CLIENT").arg("LIST").arg("TYPE").arg("normal");
    match link.run(&mut pipe).await?.into_iter().next() {
        Some(Ok(list)) => {
            let list = reply::exact(&list).unwrap_or_default();
            link.met().note_clients(&list);
            let connected = parse(&list, now());
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
fn parse(list: &str, now: Millis) -> Vec<Connected> {
    list.lines().filter_map(|line| connection(line, now)).collect()
}

fn connection(line: &str, now: Millis) -> Option<Connected> {
    // Most connections name no queue: they are told by one field.
    let name = line.split(' ').find_map(|field| field.strip_prefix("name="))?;
    let (queue, role, worker_name) = purpose(name)?;
    let mut worker = Worker {
        id: 0,
        name: worker_name.map(|name| cut(name, NAME_MAX)),
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
        queue: queue.into(),
        role,
        worker,
    })
}

/// What a connection with this name is there for: the queue, the role, and the worker's own name.
fn purpose(name: &str) -> Option<(String, Role, Option<&str>)> {
    let (queue, role, worker) = match name.split_once(":w:") {
        Some((queue, worker)) => (queue, Role::Worker, Some(worker)),
        None => match name.strip_suffix(":qe") {
            Some(queue) => (queue, Role::Listener, None),
            None => (name, Role::Worker, None),
        },
    };
    let (prefix, encoded) = queue.rsplit_once(':')?;
    let queue = text_of(&STANDARD.decode(encoded).ok()?);
    (!queue.is_empty()).then(|| {
        (
            format!("{prefix}:{queue}"),
            role,
            worker.filter(|name| !name.is_empty()),
        )
    })
}

/// On which command the workers of each queue block: evidence of the library's generation.
fn blocking(connected: &[Connected]) -> HashMap<QueueId, Blocking> {
    let worker = |connection: &&Connected| connection.role == Role::Worker;
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

    #[test]
    fn workers_are_told_by_the_names_of_their_connections() {
        let list = format!(
            "id=1 addr=10.0.0.1:501 name=bull:{mail} age=60 idle=2 cmd=bzpopmin lib-name=ioredis lib-ver=5.11.1\n\
             id=2 addr=10.0.0.2:502 name=bull:{mail}:w:eu-1 age=5 idle=0 cmd=brpoplpush lib-name= lib-ver=\n\
             id=3 name=bull:{mail}:qe cmd=xread\nid=4 name={{bull}}:{ship} cmd=client|setname\nid=5 name= cmd=get\n\
             id=6 name=sidekiq cmd=get\n",
            mail = name("mail"),
            ship = name("ship:ping"),
        );
        let found = parse(&list, 100_000);
        let told: Vec<(&str, Role, u64)> = found.iter().map(|c| (&*c.queue, c.role, c.worker.id)).collect();
        assert_eq!(
            told,
            [
                ("bull:mail", Role::Worker, 1),
                ("bull:mail", Role::Worker, 2),
                ("bull:mail", Role::Listener, 3),
                ("{bull}:ship:ping", Role::Worker, 4),
            ]
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
    fn a_name_that_is_no_queue_is_nobody() {
        for odd in ["", ":", "bull:", "bull:not base64!", ":w:", "x:w:y"] {
            assert_eq!(parse(&format!("id=1 name={odd} cmd=get"), 0), [], "{odd}");
        }
        let long = format!("id=1 name=bull:{}:w:{} cmd=get age=x", name("q"), "n".repeat(10_000));
        let found = parse(&long, 7);
        assert_eq!(
            found[0].worker.name.as_ref().map(|n| n.chars().count()),
            Some(NAME_MAX + 1)
        );
        assert_eq!(found[0].worker.since, 7, "an age that is no number is no age");
    }
}
