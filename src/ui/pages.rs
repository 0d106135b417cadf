//! One module per page.

pub mod fleet;
pub mod job;
pub mod notice;
pub mod overview;
pub mod queue;
pub mod schedules;
pub mod store;
pub mod workers;

pub use job::JobView;
pub use notice::NoticeView;
pub use overview::OverviewView;
pub use queue::QueueView;
pub use schedules::SchedulesView;
pub use store::StoreView;
pub use workers::WorkersView;
