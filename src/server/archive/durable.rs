//! What a commit is worth: the transaction itself reads the server's settings and sets its own, whatever the role, the
//! database or a pooler in between has set.

use sqlx::PgConnection;

/// A setting that waits for more than the own disk is left as it is.
const ASK: &str = "SELECT pg_is_in_recovery(), current_setting('fsync') = 'on', \
     current_setting('synchronous_standby_names') <> '', set_config('synchronous_commit', \
     CASE current_setting('synchronous_commit') WHEN 'remote_apply' THEN 'remote_apply' ELSE 'on' END, true) \
     IN ('on', 'remote_apply')";

/// What the server is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::server) struct Durability {
    /// It is a standby, and takes no rows.
    pub(in crate::server) standby: bool,
    /// It waits for its disk.
    pub(in crate::server) fsync: bool,
    /// A commit waits for a standby as well.
    pub(in crate::server) followed: bool,
    /// A commit waits at all: this transaction was set so.
    pub(in crate::server) waits: bool,
}

/// Has the commit of this transaction wait for the disk, and tells what the server is.
pub(in crate::server) async fn ask(connection: &mut PgConnection) -> Result<Durability, sqlx::Error> {
    let (standby, fsync, followed, waits) = sqlx::query_as(ASK).fetch_one(connection).await?;
    Ok(Durability {
        standby,
        fsync,
        followed,
        waits,
    })
}
