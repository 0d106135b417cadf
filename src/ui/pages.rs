//! One module per page.

pub mod job;
pub mod notice;
pub mod overview;
pub mod queue;
pub mod store;

pub use job::JobView;
pub use notice::NoticeView;
pub use overview::OverviewView;
pub use queue::QueueView;
pub use store::StoreView;
