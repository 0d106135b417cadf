//! One module per page.

#[cfg(feature = "ssr")]
pub mod act;
#[cfg(feature = "ssr")]
pub mod audit;
#[cfg(feature = "ssr")]
pub mod fleet;
#[cfg(feature = "ssr")]
pub mod job;
#[cfg(feature = "ssr")]
pub mod notice;
pub mod overview;
pub mod queue;
#[cfg(feature = "ssr")]
pub mod schedules;
#[cfg(feature = "ssr")]
pub mod store;
#[cfg(feature = "ssr")]
pub mod workers;

#[cfg(feature = "ssr")]
pub use act::FormView;
#[cfg(feature = "ssr")]
pub use audit::AuditTable;
#[cfg(feature = "ssr")]
pub use job::JobView;
#[cfg(feature = "ssr")]
pub use notice::NoticeView;
pub use overview::OverviewView;
pub use queue::QueueView;
#[cfg(feature = "ssr")]
pub use schedules::SchedulesView;
#[cfg(feature = "ssr")]
pub use store::StoreView;
#[cfg(feature = "ssr")]
pub use workers::WorkersView;
