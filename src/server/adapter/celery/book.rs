//! The queues that are known: where each keeps its messages, and which queue a routing key leads to.
//!
//! kombu keeps the routes of an exchange in the set `<prefix>_kombu.binding.<exchange>`. A member is a routing key, a
//! pattern and a queue, with a separator between them, which is a setting of the applications: by default the two bytes 6
//! and 22. The messages of a queue are in a list of its name, and those of a lower priority in lists of its name, the
//! separator and the step of the priority.

use super::super::QueueId;
use crate::model::exact::{bytes_of, text_of};
use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What a key with routes has behind its prefix.
pub(super) const BINDING: &str = "_kombu.binding.";

/// The separator where nothing is set.
const SEPARATOR: &[u8] = &[6, 22];

/// The longest separator that is recognised.
const SEPARATOR_MAX: usize = 8;

/// Where a queue is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// What is before every key of its application (`global_keyprefix`).
    pub(super) prefix: Arc<str>,
    /// Its name.
    pub(super) name: String,
    /// The set with its route, and the member.
    pub(super) binding: (Vec<u8>, Vec<u8>),
    /// The lists with its messages, those that run first in front.
    pub(super) lists: Vec<Vec<u8>>,
    /// The exchange and the routing key that lead to it.
    route: (String, String),
}

/// A key of an application with this prefix.
pub(super) fn key(prefix: &str, name: &str) -> Vec<u8> {
    [&*bytes_of(prefix), &*bytes_of(name)].concat()
}

/// What the name of a set with routes says: the prefix and the exchange.
pub(super) fn exchange_of(key: &str) -> Option<(&str, &str)> {
    let at = key.find(BINDING)?;
    Some((&key[..at], &key[at + BINDING.len()..]))
}

/// Whether an exchange carries Celery's own messages between workers, and no tasks. Only Celery has such exchanges.
pub(super) fn is_control(exchange: &str) -> bool {
    exchange.ends_with(".pidbox") || exchange == "celeryev"
}

/// Whether a queue holds no tasks: replies to remote control, and what listeners of events and unnamed consumers have.
fn is_internal(queue: &str) -> bool {
    queue.ends_with(".pidbox") || queue.starts_with("celeryev") || queue.starts_with("amq.gen-") || queue.is_empty()
}

impl Place {
    /// What a member of a set with routes says; `None` for one that leads to no queue of tasks.
    pub(super) fn of(prefix: &str, exchange: &str, member: &[u8]) -> Option<Self> {
        let (routing_key, queue, separator) = parts(member)?;
        let name = text_of(queue);
        if is_internal(&name) {
            return None;
        }
        let list = key(prefix, &name);
        let step = |step: u8| [&list, separator, &[b'0' + step]].concat();
        Some(Self {
            prefix: prefix.into(),
            binding: (key(prefix, &format!("{BINDING}{exchange}")), member.to_vec()),
            // Priorities are 0 to 9, whatever steps are set.
            lists: std::iter::once(list.clone()).chain((1..=9).map(step)).collect(),
            route: (exchange.to_owned(), text_of(routing_key)),
            name,
        })
    }

    /// The id of the queue: the key of its list.
    pub(super) fn id(&self) -> QueueId {
        format!("{}{}", self.prefix, self.name).into()
    }
}

/// The routing key, the queue and the separator of a member. Another separator than the default is what is twice
/// between a queue's name and itself: its routing key is its name, unless the application says otherwise.
fn parts(member: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let mut ends = member
        .windows(SEPARATOR.len())
        .enumerate()
        .filter(|(_, part)| *part == SEPARATOR);
    if let (Some((first, _)), Some((last, _))) = (ends.next(), ends.next_back()) {
        return Some((&member[..first], &member[last + SEPARATOR.len()..], SEPARATOR));
    }
    (1..=SEPARATOR_MAX).find_map(|length| {
        let name = member
            .len()
            .checked_sub(2 * length)
            .filter(|rest| rest % 2 == 0 && *rest > 0)?
            / 2;
        let (key, rest) = member.split_at(name);
        let (first, rest) = rest.split_at(length);
        let (second, queue) = rest.split_at(length);
        let plain = first.iter().any(u8::is_ascii_alphanumeric);
        (key == queue && first == second && !plain).then_some((key, queue, first))
    })
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Book(Mutex<HashMap<QueueId, Arc<Place>>>);

impl Book {
    fn places(&self) -> MutexGuard<'_, HashMap<QueueId, Arc<Place>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes in a queue. One that is known keeps its place.
    pub(super) fn note(&self, place: Place) {
        self.places().entry(place.id()).or_insert_with(|| Arc::new(place));
    }

    /// Where a queue is.
    pub(super) fn of(&self, queue: &str) -> Option<Arc<Place>> {
        self.places().get(queue).cloned()
    }

    /// Forgets all but these.
    pub(super) fn keep_only(&self, queues: &[QueueId]) {
        self.places().retain(|id, _| queues.contains(id));
    }

    /// The prefixes of all applications.
    pub(super) fn prefixes(&self) -> BTreeSet<Arc<str>> {
        self.places().values().map(|place| place.prefix.clone()).collect()
    }

    /// The queue to which a message of an application was sent, as far as that is known.
    pub(super) fn routed(&self, prefix: &str, exchange: &str, routing_key: &str) -> Option<QueueId> {
        let places = self.places();
        // The exchange without a name leads to the queue that is called like the routing key.
        if exchange.is_empty() {
            let id: QueueId = format!("{prefix}{routing_key}").into();
            return places.contains_key(&id).then_some(id);
        }
        let mut routes = places
            .iter()
            .filter(|(_, place)| &*place.prefix == prefix && place.route.0 == exchange && place.route.1 == routing_key);
        let (id, _) = routes.next()?;
        // A message that several queues got is in each of them.
        routes.next().is_none().then(|| id.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(exchange: &str, member: &[u8]) -> Option<(String, Vec<u8>)> {
        let place = Place::of("", exchange, member)?;
        Some((place.name.clone(), place.lists[3].clone()))
    }

    #[test]
    fn a_route_tells_the_queue_and_the_separator_of_its_steps() {
        for (member, name, step) in [
            (&b"celery\x06\x16\x06\x16celery"[..], "celery", &b"celery\x06\x163"[..]),
            (b"key\x06\x16pattern\x06\x16mail.out", "mail.out", b"mail.out\x06\x163"),
            (b"celery::celery", "celery", b"celery:3"),
            (b"a.b<><>a.b", "a.b", b"a.b<>3"),
        ] {
            assert_eq!(place("celery", member), Some((name.to_owned(), step.to_vec())));
        }
        for no in [
            &b"celery"[..],
            b"",
            b"\x06\x16\x06\x16w1@host.celery.pidbox",
            b"worker.#\x06\x16\x06\x16celeryev.e500c46d",
            b"abcabc",
        ] {
            assert_eq!(place("x", no), None, "{no:?}");
        }
    }

    #[test]
    fn a_prefix_is_before_every_key_and_a_message_finds_its_queue() {
        assert_eq!(exchange_of("{acme}:_kombu.binding.mail"), Some(("{acme}:", "mail")));
        assert_eq!(exchange_of("_kombu.binding_permanent.mail"), None);
        let book = Book::default();
        for (exchange, member) in [
            ("direct", &b"out\x06\x16\x06\x16mail"[..]),
            ("celery", b"celery\x06\x16\x06\x16celery"),
        ] {
            book.note(Place::of("acme_", exchange, member).unwrap());
        }
        let place = book.of("acme_mail").unwrap();
        assert_eq!(
            (&*place.lists[0], &*place.binding.0),
            (&b"acme_mail"[..], &b"acme__kombu.binding.direct"[..])
        );
        let routed = |exchange, key| book.routed("acme_", exchange, key).map(|id| id.to_string());
        assert_eq!(routed("direct", "out").as_deref(), Some("acme_mail"));
        assert_eq!(routed("", "celery").as_deref(), Some("acme_celery"));
        assert_eq!(routed("", "other"), None);
        assert_eq!(book.routed("", "", "celery"), None, "another application");
    }
}
