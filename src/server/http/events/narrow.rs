//! What is taken out of the frames of a stream whose reader does not see everything.
//!
//! Frames are made once for all readers. For the few readers with limited permissions each frame is parsed again, and
//! what they may not see is left out; a change that leaves nothing is not sent.

use crate::model::event::Frame;
use crate::model::job::Progress;
use crate::model::permission::Verb;
use crate::model::queue::QueueRef;
use crate::server::auth::who::Who;
use crate::server::wire::Part;
use std::sync::Arc;

/// Whether the reader may see all frames as they are.
pub(super) fn is_needless(who: &Who) -> bool {
    who.sees_all() && who.holds_everywhere(Verb::ViewPayload)
}

/// An event as the reader may see it; `None` if nothing is left of it. What cannot be parsed is not passed on.
pub(super) fn narrow(event: Arc<Part>, who: &Who) -> Option<Arc<Part>> {
    let text = std::str::from_utf8(event.plain()).ok()?;
    let Some((head, data)) = text.split_once("data: ") else {
        return Some(event);
    };
    let mut frame: Frame = serde_json::from_str(data.trim_end()).ok()?;
    let whole = frame.position.is_some();
    cut(&mut frame, who);
    if !whole && frame.is_empty() && frame.operation.is_none() {
        return None;
    }
    let json = serde_json::to_string(&frame).ok()?;
    Some(Arc::new(Part::new(format!("{head}data: {json}\n\n"))))
}

fn cut(frame: &mut Frame, who: &Who) {
    frame.queues.retain(|queue| who.sees(&queue.key()));
    frame.patches.retain(|patch| who.sees(&patch.queue()));
    frame.removed.retain(|queue| who.sees(queue));
    frame
        .stores
        .retain(|store| who.holds_somewhere_in(Verb::View, &store.id));
    frame.operation = frame
        .operation
        .take()
        .filter(|operation| operation.queues.iter().all(|queue| who.sees(queue)));
    let into = of(&frame.topic).is_some_and(|queue| who.holds(Verb::ViewPayload, Some(&queue)));
    if !into {
        for job in &mut frame.jobs {
            if matches!(job.progress, Some(Progress::Text(_))) {
                job.progress = None;
            }
        }
    }
}

/// The queue that the topic of a frame is about.
fn of(topic: &str) -> Option<QueueRef> {
    use crate::model::event::Topic;
    match topic.parse().ok()? {
        Topic::Queue(queue) | Topic::Job(queue, _) => Some(queue),
        _ => None,
    }
}
