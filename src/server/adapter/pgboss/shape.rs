//! What an installation has: its generation, columns and valid indexes; what our role may do is in [`rights`](super::rights).
//!
//! Some sixty releases of pg-boss 12 share twenty-one numbers of the schema, and indexes arrive later than the number
//! that brings them. So columns and indexes are looked up, never concluded. The result is kept for ten minutes, or
//! until a statement meets a column or table that is no more.

use super::super::Trouble;
use super::PgBoss;
use super::family::Layout;
use super::names::ident;
use super::rights::Rights;
use sqlx::Row as _;
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How long what was found is believed.
const KEEP: Duration = Duration::from_secs(600);

/// How long it is believed that our role lacks a right.
const GRANTED: Duration = Duration::from_secs(5);

/// The names of columns that generation 9 writes without underscores; a field has the name that is theirs since 10.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Columns {
    pub retry_limit: &'static str,
    pub retry_count: &'static str,
    pub retry_delay: &'static str,
    pub retry_backoff: &'static str,
    pub start_after: &'static str,
    pub started_on: &'static str,
    pub singleton_key: &'static str,
    pub singleton_on: &'static str,
    pub created_on: &'static str,
    pub completed_on: &'static str,
    pub keep_until: &'static str,
    pub archived_on: &'static str,
}

const FOLDED: Columns = Columns {
    retry_limit: "retrylimit",
    retry_count: "retrycount",
    retry_delay: "retrydelay",
    retry_backoff: "retrybackoff",
    start_after: "startafter",
    started_on: "startedon",
    singleton_key: "singletonkey",
    singleton_on: "singletonon",
    created_on: "createdon",
    completed_on: "completedon",
    keep_until: "keepuntil",
    archived_on: "archivedon",
};

const SNAKE: Columns = Columns {
    retry_limit: "retry_limit",
    retry_count: "retry_count",
    retry_delay: "retry_delay",
    retry_backoff: "retry_backoff",
    start_after: "start_after",
    started_on: "started_on",
    singleton_key: "singleton_key",
    singleton_on: "singleton_on",
    created_on: "created_on",
    completed_on: "completed_on",
    keep_until: "keep_until",
    archived_on: "archived_on",
};

/// Indexes that every table of jobs has, valid.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Indexes {
    /// Queued, active and failed jobs by state: counts them in milliseconds.
    pub live: bool,
    /// By the time of creation.
    pub created: bool,
    /// By the time of their end.
    pub finished: bool,
    /// Queued jobs by the moment from which they may run.
    pub due: bool,
}

/// A table with rows of jobs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Table {
    /// The jobs.
    Jobs,
    /// Those that the library, up to 10, has put away: finished ones after some hours, and queued ones that were not begun in
    /// time.
    Archive,
}

impl Table {
    pub(super) fn at(self, shape: &Shape) -> String {
        match self {
            Self::Jobs => shape.job(),
            Self::Archive => shape.at("archive"),
        }
    }

    /// The columns of its rows.
    pub(super) fn columns(self, shape: &Shape) -> impl Iterator<Item = &str> {
        let name = match self {
            Self::Jobs => "job",
            Self::Archive => "archive",
        };
        shape.has.get(name).into_iter().flatten().map(String::as_str)
    }
}

/// One installation.
#[derive(Clone, Debug)]
pub(super) struct Shape {
    /// Its schema, as the catalogue has it.
    pub schema: String,
    /// The number of its schema.
    pub number: i32,
    pub layout: Layout,
    pub columns: Columns,
    pub indexes: Indexes,
    pub rights: Rights,
    /// The tables that hold the rows of jobs: partitions, or the one table.
    pub tables: Vec<String>,
    has: HashMap<String, HashSet<String>>,
}

impl Shape {
    /// A table or function of the installation, quoted.
    pub(super) fn at(&self, name: &str) -> String {
        format!("{}.{}", ident(&self.schema), ident(name))
    }

    /// The table of jobs.
    pub(super) fn job(&self) -> String {
        self.at("job")
    }

    pub(super) fn has_table(&self, table: &str) -> bool {
        self.has.contains_key(table)
    }

    pub(super) fn has(&self, table: &str, column: &str) -> bool {
        self.has.get(table).is_some_and(|columns| columns.contains(column))
    }

    /// Whether the library puts jobs away into a table of its own, and we may read it.
    pub(super) fn has_archive(&self) -> bool {
        self.has("archive", self.columns.archived_on) && self.rights.read_archive
    }

    /// The tables in which a job is looked for by its id.
    pub(super) fn tables_of_jobs(&self) -> &'static [Table] {
        if self.has_archive() {
            &[Table::Jobs, Table::Archive]
        } else {
            &[Table::Jobs]
        }
    }

    /// A column of the queues, or what stands for it where this generation does not have it.
    pub(super) fn queue_or<'a>(&self, column: &'a str, otherwise: &'a str) -> &'a str {
        if self.has("queue", column) { column } else { otherwise }
    }

    /// Whether there is a table of queues; up to 9 a queue is what jobs name.
    pub(super) fn has_queues(&self) -> bool {
        self.has_table("queue")
    }

    /// Whether jobs can wait for others.
    pub(super) fn has_flows(&self) -> bool {
        self.has("job", "blocked") && self.has_table("job_dependency")
    }

    /// Queued and waiting for other jobs.
    pub(super) fn blocked(&self) -> &'static str {
        if self.has("job", "blocked") {
            "j.blocked"
        } else {
            "false"
        }
    }

    /// Whether others wait for the row `j` in vain once it is gone. Since schema 33 a job that has completed is marked
    /// until the library has released those that wait, some seconds later; before, it released them at once.
    pub(super) fn waited_for(&self) -> &'static str {
        if !self.has("job", "blocking") {
            "false"
        } else if self.has("version", "flow_on") {
            "j.blocking"
        } else {
            "j.blocking and j.state <> 'completed'"
        }
    }

    /// The board's word for a job's state, for the row `j`.
    pub(super) fn state(&self) -> String {
        let (blocked, start_after) = (self.blocked(), self.columns.start_after);
        format!(
            "case when j.state < 'active' and {blocked} then 'waiting_children' \
             when j.state < 'active' and j.{start_after} > now() then 'delayed' \
             when j.state < 'active' then 'waiting' when j.state::text = 'expired' then 'failed' else j.state::text end"
        )
    }

    /// How many attempts of the row `j` have ended.
    pub(super) fn attempts(&self) -> String {
        let Columns {
            started_on,
            retry_count,
            ..
        } = self.columns;
        format!(
            "case when j.{started_on} is null then 0 when j.state = 'active' then j.{retry_count} else j.{retry_count} + 1 end"
        )
    }

    /// When the row `j` finished, in milliseconds. Up to 12.25 a job that is retried keeps the time of its failure.
    pub(super) fn finished(&self) -> String {
        format!(
            "case when j.state > 'active' then {} end",
            ms(self.columns.completed_on)
        )
    }

    /// The states of a failure, as a condition on the row `j`.
    pub(super) fn is_failed(&self) -> &'static str {
        match self.layout {
            Layout::PgBoss9 => "j.state in ('expired', 'failed')",
            _ => "j.state = 'failed'",
        }
    }

    /// For how long a queued job of this queue is kept, as an interval; `q` is its queue.
    pub(super) fn retention(&self) -> &'static str {
        if self.has("queue", "retention_seconds") {
            "coalesce(q.retention_seconds, 1209600) * interval '1 s'"
        } else if self.has("queue", "retention_minutes") {
            "coalesce(q.retention_minutes, 20160) * interval '1 min'"
        } else {
            "interval '14 days'"
        }
    }
}

/// A time of the row `j` in milliseconds.
pub(super) fn ms(column: &str) -> String {
    ms_of(&format!("j.{column}"))
}

/// A time in milliseconds.
pub(super) fn ms_of(time: &str) -> String {
    format!("floor(extract(epoch from {time}) * 1000)::int8")
}

/// A time of the row `j` in microseconds, which is what Postgres keeps.
pub(super) fn us(column: &str) -> String {
    format!("round(extract(epoch from j.{column}) * 1000000)::int8")
}

/// The moment that a parameter in microseconds stands for, exactly.
pub(super) fn at_us(parameter: &str) -> String {
    format!("('epoch'::timestamptz + {parameter} * interval '1 microsecond')")
}

/// The installations that are known.
#[derive(Debug, Default)]
pub(super) struct Shapes(Mutex<HashMap<String, Known>>);

#[derive(Debug)]
struct Known {
    shape: Arc<Shape>,
    /// When it was read, and when our rights were; `None` for one that is to be read again.
    at: Option<Instant>,
    rights_at: Instant,
}

/// What is to be read before an installation is used.
enum Wanted {
    Nothing(Arc<Shape>),
    Rights(Arc<Shape>),
    All,
}

impl Shapes {
    fn all(&self) -> MutexGuard<'_, HashMap<String, Known>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has an installation looked at again at the next occasion.
    pub(super) fn forget(&self, schema: &str) {
        if let Some(known) = self.all().get_mut(schema) {
            known.at = None;
        }
    }

    /// As it was last seen, whenever that was.
    pub(super) fn latest(&self, schema: &str) -> Option<Arc<Shape>> {
        self.all().get(schema).map(|known| Arc::clone(&known.shape))
    }

    fn wanted(&self, schema: &str) -> Wanted {
        match self.all().get(schema) {
            Some(Known {
                shape,
                at: Some(at),
                rights_at,
            }) if at.elapsed() < KEEP => {
                if shape.rights.are_all() || rights_at.elapsed() < GRANTED {
                    Wanted::Nothing(Arc::clone(shape))
                } else {
                    Wanted::Rights(Arc::clone(shape))
                }
            }
            _ => Wanted::All,
        }
    }

    fn keep(&self, shape: Shape) -> Arc<Shape> {
        let shape = Arc::new(shape);
        let known = Known {
            shape: Arc::clone(&shape),
            at: Some(Instant::now()),
            rights_at: Instant::now(),
        };
        self.all().insert(shape.schema.clone(), known);
        shape
    }

    fn keep_rights(&self, shape: &Shape, rights: Rights) -> Arc<Shape> {
        let shape = Arc::new(Shape {
            rights,
            ..shape.clone()
        });
        if let Some(known) = self.all().get_mut(&shape.schema) {
            (known.shape, known.rights_at) = (Arc::clone(&shape), Instant::now());
        }
        shape
    }
}

/// Every schema with tables `version` and `job` and a type `job_state`, and whether we may look into it.
const INSTALLATIONS: &str = "select n.nspname::text, has_schema_privilege(n.oid, 'USAGE') \
     from pg_namespace n \
     join pg_class v on v.relnamespace = n.oid and v.relname = 'version' and v.relkind in ('r', 'p') \
     join pg_class j on j.relnamespace = n.oid and j.relname = 'job' and j.relkind in ('r', 'p') \
     where exists (select from pg_type t where t.typnamespace = n.oid and t.typname = 'job_state') order by 1";

const COLUMNS: &str = "select c.relname::text, a.attname::text from pg_attribute a \
     join pg_class c on c.oid = a.attrelid and c.relkind in ('r', 'p') join pg_namespace n on n.oid = c.relnamespace \
     where n.nspname = $1 and a.attnum > 0 and not a.attisdropped and c.relname in \
     ('job', 'queue', 'schedule', 'version', 'instance', 'job_dependency', 'archive', 'warning', 'bam')";

/// The tables that hold rows of jobs, each with its valid indexes.
const TABLES: &str = "select l.relname::text, coalesce(array_agg(pg_get_indexdef(i.indexrelid)) \
         filter (where i.indisvalid), '{}') \
     from pg_class p join pg_namespace n on n.oid = p.relnamespace \
     join pg_class l on (p.relkind = 'r' and l.oid = p.oid) \
         or (p.relkind = 'p' and l.oid in (select inhrelid from pg_inherits where inhparent = p.oid)) \
     left join pg_index i on i.indrelid = l.oid \
     where n.nspname = $1 and p.relname = 'job' group by l.relname order by 1";

impl PgBoss {
    /// The schemas of installations that we may look into, and those that we may not.
    pub(super) async fn installations(&self) -> Result<(Vec<String>, Vec<String>), Trouble> {
        let rows = self.read(None, sqlx::query(INSTALLATIONS)).await?;
        let wanted = |schema: &String| self.scope.schemas.is_empty() || self.scope.schemas.contains(schema);
        let (mut open, mut closed) = (Vec::new(), Vec::new());
        for row in rows {
            let schema: String = row.get(0);
            if wanted(&schema) {
                if row.get(1) {
                    open.push(schema)
                } else {
                    closed.push(schema)
                }
            }
        }
        Ok((open, closed))
    }

    /// What an installation has; `None` if there is none of a kind that we know.
    pub(super) async fn shape(&self, schema: &str) -> Result<Option<Arc<Shape>>, Trouble> {
        match self.shapes.wanted(schema) {
            Wanted::Nothing(known) => return Ok(Some(known)),
            Wanted::Rights(known) => {
                let rights = self.rights(schema).await?;
                return Ok(Some(self.shapes.keep_rights(&known, rights)));
            }
            Wanted::All => {}
        }
        let wanted = self.scope.schemas.is_empty() || self.scope.schemas.iter().any(|s| s == schema);
        if !wanted {
            return Ok(None);
        }
        let mut has: HashMap<String, HashSet<String>> = HashMap::new();
        for row in self.read(Some(schema), sqlx::query(COLUMNS).bind(schema)).await? {
            has.entry(row.get(0)).or_default().insert(row.get(1));
        }
        let column = |table: &str, column: &str| has.get(table).is_some_and(|of: &HashSet<_>| of.contains(column));
        if !column("version", "version") || !column("job", "output") {
            return Ok(None);
        }
        let sql = format!("select version::int4 from {}.\"version\" limit 1", ident(schema));
        let number: i32 = match self.read(Some(schema), sqlx::query(&sql)).await?.first() {
            Some(row) => row.get(0),
            None => return Ok(None),
        };
        let Some(layout) = layout(number, &column) else {
            return Ok(None);
        };
        let mut tables = Vec::new();
        let mut indexes = Indexes {
            live: true,
            created: true,
            finished: true,
            due: true,
        };
        for row in self.read(Some(schema), sqlx::query(TABLES).bind(schema)).await? {
            tables.push(row.get(0));
            let defined: Vec<String> = row.get(1);
            let over = |columns: &str| defined.iter().any(|index| index.contains(columns));
            indexes.live &= over("(name, state, blocked, start_after)");
            indexes.created &= over("(name, created_on)");
            indexes.finished &= over("(name, completed_on)");
            indexes.due &= over("(name, start_after)") || over("(name text_pattern_ops, startafter)");
        }
        if tables.is_empty() {
            indexes = Indexes::default();
        }
        let rights = self.rights(schema).await?;
        Ok(Some(self.shapes.keep(Shape {
            schema: schema.to_owned(),
            number,
            layout,
            columns: if layout == Layout::PgBoss9 { FOLDED } else { SNAKE },
            indexes,
            rights,
            tables,
            has,
        })))
    }
}

/// The generation: by its columns, and only where they are the same by its number.
fn layout(number: i32, column: &impl Fn(&str, &str) -> bool) -> Option<Layout> {
    if column("job", "retrylimit") && column("job", "on_complete") {
        Some(Layout::PgBoss9)
    } else if !column("job", "retry_limit") {
        None
    } else if column("queue", "partition_name") {
        Some(Layout::PgBoss10)
    } else if !column("queue", "table_name") {
        None
    } else if number <= 26 {
        Some(Layout::PgBoss11)
    } else {
        Some(Layout::PgBoss12)
    }
}
