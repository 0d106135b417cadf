//! Channels, listened to by pattern on one connection of their own, for as long as there are patterns.
//!
//! Messages that come close together are handed on together. Messages published while there is no connection are lost.

use super::link::Link;
use super::spacing::Spacing;
use crate::server::adapter::Change;
use futures::{FutureExt as _, StreamExt as _};
use redis::Msg;
use redis::aio::{PubSubSink, PubSubStream};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{Notify, mpsc};
use tokio::time::{sleep, timeout};

/// How long a subscription may take.
const DEADLINE: Duration = Duration::from_secs(2);

/// The pause before another connection is tried.
pub const AGAIN: Duration = Duration::from_millis(500);

/// A listener.
pub trait Ear: Send + Sync {
    /// What is gathered from messages that are handed on together.
    type Told: Default + Send;

    /// How long messages are gathered while they are dense.
    const GATHER: Duration;

    /// How many are gathered at most.
    const GATHER_MAX: usize;

    /// The patterns to listen to; none while there is nothing to hear. Most stores have no such queue and then need no such
    /// connection.
    fn patterns(&self) -> BTreeSet<Vec<u8>>;

    /// Notified when the patterns may be others.
    fn changed(&self) -> &Notify;

    /// All patterns are listened to from now on, `others` than before or the same: returns what to count for that.
    fn begun(&self, others: bool) -> Vec<Change>;

    /// Takes in a message.
    fn take(&self, message: &Msg, told: &mut Self::Told);

    /// The changes that the gathered messages report.
    fn changes(&self, told: Self::Told) -> Vec<Change>;

    /// A connection has ended: the pause before the next.
    fn ended(&self) -> Duration;
}

/// Listens for as long as the receiver of `sender` is there.
pub async fn keep_listening(link: Arc<Link>, ear: impl Ear, sender: mpsc::Sender<Vec<Change>>) {
    let mut health = link.health();
    while !sender.is_closed() {
        if ear.patterns().is_empty() {
            tokio::select! {
                () = ear.changed().notified() => {}
                () = sender.closed() => return,
            }
            continue;
        }
        if health.wait_for(Result::is_ok).await.is_err() {
            return;
        }
        let mut pause = AGAIN;
        if let Ok(connection) = link.listener().await {
            let (sink, stream) = connection.split();
            let broken = async { health.wait_for(Result::is_err).await.map(|_| ()) };
            tokio::select! {
                _ = listen(&ear, &sender, sink, stream) => {}
                // The other connection found that nothing answers: this one may hang for minutes.
                _ = broken => {}
                () = sender.closed() => return,
            }
            pause = ear.ended();
        }
        sleep(pause).await;
    }
}

/// Listens until the connection fails (`None`) or nothing is left to listen to.
async fn listen<E: Ear>(
    ear: &E,
    sender: &mpsc::Sender<Vec<Change>>,
    mut sink: PubSubSink,
    mut stream: PubSubStream,
) -> Option<()> {
    let mut subscribed = BTreeSet::new();
    let mut spacing = Spacing::new();
    loop {
        let patterns = ear.patterns();
        for pattern in patterns.difference(&subscribed) {
            timeout(DEADLINE, sink.psubscribe(pattern)).await.ok()?.ok()?;
        }
        for pattern in subscribed.difference(&patterns) {
            timeout(DEADLINE, sink.punsubscribe(pattern)).await.ok()?.ok()?;
        }
        if patterns.is_empty() {
            return Some(());
        }
        let others = patterns != subscribed;
        subscribed = patterns;
        hand_on(sender, ear.begun(others)).await?;
        loop {
            let message = tokio::select! {
                message = stream.next() => message?,
                () = ear.changed().notified() => break,
            };
            let mut told = E::Told::default();
            ear.take(&message, &mut told);
            sleep(spacing.rest(Instant::now(), E::GATHER)).await;
            for _ in 1..E::GATHER_MAX {
                match stream.next().now_or_never() {
                    Some(Some(message)) => ear.take(&message, &mut told),
                    Some(None) => return None,
                    None => break,
                }
            }
            hand_on(sender, ear.changes(told)).await?;
        }
    }
}

async fn hand_on(sender: &mpsc::Sender<Vec<Change>>, changes: Vec<Change>) -> Option<()> {
    match changes.is_empty() {
        true => Some(()),
        false => sender.send(changes).await.ok(),
    }
}
