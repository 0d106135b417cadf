//! One module per page.

mod job;
mod notice;
mod overview;
mod queue;

pub use job::JobView;
pub use notice::NoticeView;
pub use overview::OverviewView;
pub use queue::QueueView;
