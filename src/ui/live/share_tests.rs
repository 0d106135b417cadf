//! Many tabs, one stream: whatever happens in whatever order, every page ends up showing the truth.

use super::*;
use std::collections::BTreeMap;

fn at(seq: u64) -> Option<Position> {
    Some(Position { epoch: 1, seq })
}

fn place(topic: &str, seq: u64) -> Place {
    Place {
        topic: topic.into(),
        at: at(seq),
    }
}

fn gate(topic: &str, seq: u64) -> Gate {
    Gate {
        topic: topic.into(),
        at: at(seq),
        open: false,
    }
}

fn wants(topics: &[&str]) -> Vec<Place> {
    topics.iter().map(|topic| place(topic, 1)).collect()
}

#[test]
fn a_page_believes_nothing_that_leaves_a_gap_and_nothing_twice() {
    let position = |seq| Position { epoch: 1, seq };
    let mut page = gate("overview", 10);
    assert!(!page.delta(position(11)), "nobody has said where this begins");
    assert!(!page.covers(at(11)), "frame 11 would be missing");
    assert!(!page.delta(position(12)));
    assert!(page.covers(at(8)));
    assert!(!page.delta(position(9)), "it shows that already");
    assert!(page.delta(position(11)));
    page.passed(position(20));
    assert_eq!(page.at, at(20), "frames come in order, whatever their topic");
    assert!(!page.snapshot(at(19)), "a page never goes back");
    assert!(page.delta(position(21)));
    assert!(page.snapshot(at(40)));
    assert!(!page.delta(position(40)), "the snapshot holds it");
    // The server restarted.
    let again = Position { epoch: 2, seq: 3 };
    assert!(
        !page.delta(again),
        "what came before it in the new numbering is not known"
    );
    assert!(page.snapshot(Some(again)));
    assert!(!page.snapshot(at(90)), "the old process knows nothing newer");
}

#[test]
fn what_one_tab_lacks_is_asked_for_without_asking_again_for_the_rest() {
    let mut ledger = Ledger::default();
    assert!(!ledger.gives(&place("overview", 10)));
    let topics = ["overview".to_owned()];
    assert_eq!(ledger.open(&topics), [place("overview", 10)]);
    ledger.reached(Position { epoch: 1, seq: 30 });
    assert!(ledger.gives(&place("overview", 30)));
    assert!(
        ledger.gives(&place("overview", 34)),
        "a page that is ahead lacks nothing"
    );
    assert!(!ledger.gives(&place("overview", 29)));
    assert!(!ledger.gives(&place("queue:r/mail", 25)));
    // Frames that arrive before the stream is reopened change nothing about the places to request.
    ledger.reached(Position { epoch: 1, seq: 33 });
    let topics = ["overview".to_owned(), "queue:r/mail".to_owned()];
    assert_eq!(ledger.open(&topics), [place("overview", 29), place("queue:r/mail", 25)]);
    // A place in the numbering of another process is useless: the tab needs a snapshot.
    let other = Place {
        at: Some(Position { epoch: 2, seq: 1 }),
        ..place("overview", 0)
    };
    assert!(!ledger.gives(&other));
    assert_eq!(ledger.open(&topics)[0].at, None);
    assert!(ledger.gives(&place("overview", 1)), "the snapshot is on its way");
    ledger.snapshot("overview", Some(Position { epoch: 2, seq: 7 }));
    assert!(!ledger.gives(&other));
}

#[test]
fn the_stream_is_about_what_is_looked_at_first_and_about_everything_in_turn() {
    let mut roster = Roster::default();
    roster.note("a", &wants(&["overview"]), false, 0.0);
    roster.note("b", &wants(&["overview"]), true, 0.0);
    roster.note("c", &wants(&["queue:r/c"]), false, 0.0);
    roster.note("d", &wants(&["queue:r/d"]), true, 0.0);
    let (topics, waiting) = roster.choose();
    assert_eq!(topics, ["queue:r/c", "overview", "queue:r/d"]);
    assert!(waiting.is_empty());
    roster.note("c", &[], true, 1.0);
    assert_eq!(
        roster.choose().0,
        ["overview", "queue:r/d"],
        "a tab that rests wants nothing"
    );
    roster.forget("d");
    assert_eq!(roster.choose().0, ["overview"]);
    roster.expire(SILENT_TAB_MS * 2.0);
    assert!(roster.choose().0.is_empty());

    for i in 0..50 {
        roster.note(&format!("tab {i}"), &wants(&[&format!("queue:r/{i}")]), i % 2 == 0, 0.0);
    }
    let mut seen = BTreeMap::<String, usize>::new();
    for _ in 0..40 {
        let (topics, waiting) = roster.choose();
        assert!(topics.len() <= TOPICS_MAX);
        assert_eq!(topics.len() + waiting.len(), 50);
        for i in (1..50).step_by(2) {
            assert!(
                topics[..28].contains(&format!("queue:r/{i}")) || i < 1,
                "{i} is looked at"
            );
        }
        for topic in topics {
            *seen.entry(topic).or_default() += 1;
        }
    }
    assert_eq!(seen.len(), 50, "everything has its turn");
    assert!(seen.values().all(|times| *times >= 3), "{seen:?}");
}

#[test]
fn addresses_stay_short_enough_for_proxies() {
    let mut roster = Roster::default();
    for i in 0..20 {
        let long = format!("job:r/{}/{i}", "x".repeat(1_000));
        roster.note(&format!("tab {i}"), &wants(&[&long]), false, 0.0);
    }
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..60 {
        let (topics, waiting) = roster.choose();
        assert!(topics.iter().map(String::len).sum::<usize>() <= TOPICS_BYTES);
        assert_eq!(topics.len() + waiting.len(), 20);
        seen.extend(topics);
    }
    assert_eq!(seen.len(), 20);
}

/// A small random simulation: a server that counts, tabs that come, navigate, sleep and go, a leader that is replaced,
/// a connection that breaks and a server that restarts. The channel delivers in order, to each tab at its own pace.
struct World {
    dice: u64,
    server: Position,
    /// The true state: for each topic the number of the last change, and all changes.
    truth: BTreeMap<String, u64>,
    log: Vec<(String, u64)>,
    roster: Roster,
    ledger: Ledger,
    topics: Vec<String>,
    /// The last position that the stream has sent, in the numbering of the server it is connected to.
    sent: Option<Position>,
    tabs: Vec<Page>,
    names: usize,
}

struct Page {
    name: String,
    gate: Gate,
    /// Each change adds its number: a change that is lost or applied twice stays visible until the next snapshot.
    sum: u64,
    inbox: std::collections::VecDeque<Said>,
}

#[derive(Clone)]
enum Said {
    Lead,
    Covers(Vec<Place>),
    Snapshot(String, Position, u64),
    Delta(String, Position, u64),
}

impl World {
    fn roll(&mut self, sides: u64) -> u64 {
        // Numerical Recipes' generator: the same sequence for the same seed.
        self.dice = self
            .dice
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.dice >> 33) % sides
    }

    fn topic(&mut self) -> String {
        format!("topic {}", self.roll(4))
    }

    fn change(&mut self) {
        let topic = self.topic();
        self.server.seq += 1;
        *self.truth.entry(topic.clone()).or_default() += self.server.seq;
        self.log.push((topic, self.server.seq));
    }

    fn say(&mut self, said: &Said) {
        for tab in &mut self.tabs {
            tab.inbox.push_back(said.clone());
        }
    }

    /// The leader opens its stream; the server answers.
    fn open(&mut self) {
        self.topics = self.roster.choose().0;
        let places = self.ledger.open(&self.topics);
        self.say(&Said::Covers(places.clone()));
        let remembered = self.server.seq.saturating_sub(6);
        for place in &places {
            let resumes = place
                .at
                .is_some_and(|at| at.epoch == self.server.epoch && at.seq >= remembered && at.seq <= self.server.seq);
            if !resumes {
                let sum = self.truth.get(&place.topic).copied().unwrap_or(0);
                self.hand_on(&Said::Snapshot(place.topic.clone(), self.server, sum));
            }
        }
        let from = |topic: &String| {
            let place = places.iter().find(|place| place.topic == *topic)?;
            match place.at {
                Some(at) if at.epoch == self.server.epoch && at.seq >= remembered => Some(at.seq),
                _ => Some(self.server.seq),
            }
        };
        let missed: Vec<_> = self
            .log
            .iter()
            .filter(|(t, n)| from(t).is_some_and(|from| *n > from))
            .cloned()
            .collect();
        for (topic, seq) in missed {
            self.hand_on(&Said::Delta(topic, Position { seq, ..self.server }, seq));
        }
        self.sent = Some(self.server);
    }

    fn hand_on(&mut self, said: &Said) {
        match said {
            Said::Snapshot(topic, position, _) => self.ledger.snapshot(topic, Some(*position)),
            Said::Delta(_, position, _) => self.ledger.reached(*position),
            _ => {}
        }
        self.say(said);
    }

    /// The stream delivers the changes since then.
    fn flow(&mut self) {
        let Some(sent) = self.sent.filter(|sent| sent.epoch == self.server.epoch) else {
            return;
        };
        let new: Vec<_> = self.log.iter().filter(|(_, n)| *n > sent.seq).cloned().collect();
        for (topic, seq) in new {
            if self.topics.contains(&topic) {
                self.hand_on(&Said::Delta(topic, Position { seq, ..self.server }, seq));
            }
        }
        self.sent = Some(self.server);
    }

    fn want(&mut self, i: usize) {
        let page = &self.tabs[i];
        let place = Place {
            topic: page.gate.topic.clone(),
            at: page.gate.at,
        };
        let name = page.name.clone();
        self.roster.note(&name, std::slice::from_ref(&place), false, 0.0);
        if self.ledger.gives(&place) {
            let covers = Said::Covers(self.ledger.places(&self.topics));
            self.say(&covers);
        } else {
            self.open();
        }
    }

    /// One tab receives one message.
    fn hear(&mut self, i: usize) -> bool {
        let page = &mut self.tabs[i];
        let Some(said) = page.inbox.pop_front() else {
            return false;
        };
        match said {
            Said::Lead => {
                page.gate.open = false;
                self.want(i);
            }
            Said::Covers(places) => {
                let place = places.iter().find(|place| place.topic == page.gate.topic);
                let content = place.is_some_and(|place| page.gate.covers(place.at));
                if !content {
                    page.gate.open = false;
                    self.want(i);
                }
            }
            Said::Snapshot(topic, position, sum) => {
                if topic == page.gate.topic && page.gate.snapshot(Some(position)) {
                    page.sum = sum;
                }
            }
            Said::Delta(topic, position, n) => {
                if topic != page.gate.topic {
                    page.gate.passed(position);
                } else if page.gate.delta(position) {
                    page.sum += n;
                }
            }
        }
        true
    }

    fn step(&mut self) {
        match self.roll(24) {
            0..=8 => self.change(),
            9..=11 => self.flow(),
            12 if self.tabs.len() < 8 => {
                // A page that the server rendered just now, or a moment ago and that is hydrated only now.
                let topic = self.topic();
                let sum = self.truth.get(&topic).copied().unwrap_or(0);
                self.names += 1;
                self.tabs.push(Page {
                    name: format!("tab {}", self.names),
                    gate: Gate {
                        topic,
                        at: Some(self.server),
                        open: false,
                    },
                    sum,
                    inbox: std::collections::VecDeque::new(),
                });
            }
            13 if !self.tabs.is_empty() => {
                let i = self.pick();
                self.want(i);
            }
            14 if self.roll(4) == 0 && !self.tabs.is_empty() => {
                let i = self.pick();
                let gone = self.tabs.remove(i);
                self.roster.forget(&gone.name);
            }
            15 if self.roll(3) == 0 => {
                // Another tab leads; what the old leader sent is still on its way.
                self.ledger = Ledger::default();
                self.topics.clear();
                self.sent = None;
                self.say(&Said::Lead);
            }
            16 if self.roll(3) == 0 => self.open(),
            17 if self.roll(8) == 0 => {
                self.server = Position {
                    epoch: self.server.epoch + 1,
                    seq: 0,
                };
                self.log.clear();
                self.open();
            }
            _ if !self.tabs.is_empty() => {
                let i = self.pick();
                self.hear(i);
            }
            _ => {}
        }
    }

    fn pick(&mut self) -> usize {
        let tabs = self.tabs.len() as u64;
        usize::try_from(self.roll(tabs)).unwrap()
    }

    fn settle(&mut self) {
        for _ in 0..3 {
            for i in 0..self.tabs.len() {
                self.want(i);
            }
            self.flow();
            while (0..self.tabs.len()).any(|i| self.hear(i)) {}
        }
    }
}

#[test]
fn whatever_happens_every_page_ends_up_showing_what_is_so() {
    let mut pages = 0;
    for seed in 0..400 {
        let mut world = World {
            dice: seed,
            server: Position { epoch: 1, seq: 0 },
            truth: BTreeMap::new(),
            log: vec![],
            roster: Roster::default(),
            ledger: Ledger::default(),
            topics: vec![],
            sent: None,
            tabs: vec![],
            names: 0,
        };
        for _ in 0..600 {
            world.step();
        }
        world.settle();
        for page in &world.tabs {
            let truth = world.truth.get(&page.gate.topic).copied().unwrap_or(0);
            assert_eq!(page.sum, truth, "seed {seed}: {} shows something else", page.name);
            assert!(page.gate.open, "seed {seed}: {} does not hear of changes", page.name);
            pages += 1;
        }
    }
    assert!(pages > 800, "only {pages} pages were looked at");
}
