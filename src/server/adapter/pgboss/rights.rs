//! What our role may do in an installation, what each action takes, and the least that would permit the rest.
//!
//! Rights are read with the shape of an installation. Where one is missing they are read again every few seconds, because
//! an administrator may be granting it.

use super::super::AnyAction;
use super::PgBoss;
use super::names::{ident, literal};
use super::shape::Shape;
use crate::model::action::{JobAction, QueueAction, ScheduleAction};
use crate::server::adapter::Trouble;
use sqlx::Row as _;

/// Where a role that may pause is made without a superuser.
const SCRIPT: &str = "deploy/postgres/pgboss_owner.sql";

/// A right that an action takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Right {
    Update,
    Delete,
    Insert,
    /// Of schedules.
    Unschedule,
    /// To act as the owner of the jobs, who alone may put a trigger on them and take it away.
    Own,
}

/// What our role may do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Rights {
    pub read: bool,
    /// Reading the library's own archive, where there is one.
    pub read_archive: bool,
    update: bool,
    delete: bool,
    insert: bool,
    unschedule: bool,
    owner: Owner,
}

/// The owner of the table of jobs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Owner {
    pub name: String,
    pub is_superuser: bool,
    /// Whether our role may act as it.
    pub is_ours: bool,
    /// Whether it may make something in the schema.
    pub may_create: bool,
}

impl Rights {
    /// Whether no action lacks anything.
    pub(super) const fn are_all(&self) -> bool {
        self.update && self.delete && self.insert && self.unschedule && self.owner.is_ours && self.owner.may_create
    }

    const fn has(&self, right: Right) -> bool {
        match right {
            Right::Update => self.update,
            Right::Delete => self.delete,
            Right::Insert => self.insert,
            Right::Unschedule => self.unschedule,
            Right::Own => self.owner.is_ours && self.owner.may_create,
        }
    }
}

/// What an action takes. A job is locked before anything is done to it, which takes the right to change it.
pub(super) const fn needed(action: AnyAction<'_>) -> &'static [Right] {
    match action {
        AnyAction::Job(JobAction::Remove { .. } | JobAction::Archive) => &[Right::Update, Right::Delete],
        AnyAction::Job(JobAction::Redrive) => &[Right::Insert, Right::Update, Right::Delete],
        AnyAction::Job(JobAction::Duplicate(_))
        | AnyAction::Queue(QueueAction::Add(_))
        | AnyAction::Schedule(ScheduleAction::Run) => &[Right::Insert],
        AnyAction::Job(_) => &[Right::Update],
        AnyAction::Queue(QueueAction::Pause | QueueAction::Resume) => &[Right::Own],
        AnyAction::Schedule(ScheduleAction::Remove) => &[Right::Unschedule],
        // pg-boss has no such thing.
        AnyAction::Queue(_) | AnyAction::Schedule(ScheduleAction::Upsert(_)) => &[],
    }
}

impl Owner {
    /// The statements that would let a role act as the owner, and what to do where that would make it a superuser.
    fn lacks(&self, schema: &str, role: &str) -> (Vec<String>, Option<String>) {
        if !self.is_ours && self.is_superuser {
            let what = format!(
                "The table of jobs in the schema {schema} belongs to {}, a superuser, which Drover must not become: {SCRIPT} gives \
                 it to a role of its own that {role} may use.",
                self.name
            );
            return (vec![], Some(what));
        }
        let mut grants = Vec::new();
        if !self.is_ours {
            grants.push(format!("GRANT {} TO {};", ident(&self.name), ident(role)));
        }
        if !self.may_create {
            grants.push(format!(
                "GRANT CREATE ON SCHEMA {} TO {};",
                ident(schema),
                ident(&self.name)
            ));
        }
        (grants, None)
    }

    /// Why a role cannot pause; `None` if it can.
    pub(super) fn refusal(&self, schema: &str, role: &str) -> Option<String> {
        let (grants, otherwise) = self.lacks(schema, role);
        let remedy = match otherwise {
            Some(otherwise) => otherwise,
            None if grants.is_empty() => return None,
            None => format!("Allow it with: {}", grants.join(" ")),
        };
        Some(format!(
            "A pause needs a trigger on the table of jobs, which only the table's owner may install and remove, and a table and \
             a function in the schema {schema}. {remedy}"
        ))
    }
}

impl Shape {
    /// What a role lacks of these rights, with what would permit it; `None` if it lacks nothing.
    pub(super) fn lacks(&self, needed: &[Right], role: &str) -> Option<String> {
        if *needed == [Right::Own] {
            return self.rights.owner.refusal(&self.schema, role);
        }
        let missing = |right: &Right| needed.contains(right) && !self.rights.has(*right);
        let of_jobs = [Right::Insert, Right::Update, Right::Delete];
        let verbs = ["INSERT", "UPDATE", "DELETE"];
        let lacks = of_jobs.iter().zip(verbs).filter(|(right, _)| missing(right));
        let lacks: Vec<&str> = lacks.map(|(_, verb)| verb).collect();
        let mut grants = Vec::new();
        if !lacks.is_empty() {
            grants.push(format!(
                "GRANT {} ON {} TO {};",
                lacks.join(", "),
                self.job(),
                ident(role)
            ));
        }
        if missing(&Right::Unschedule) {
            grants.push(format!("GRANT DELETE ON {} TO {};", self.at("schedule"), ident(role)));
        }
        let mut otherwise = None;
        if missing(&Right::Own) {
            let (more, instead) = self.rights.owner.lacks(&self.schema, role);
            grants.extend(more);
            otherwise = instead;
        }
        let granted = (!grants.is_empty()).then(|| {
            format!(
                "Drover's role {role} may not do that. Allow it with: {}",
                grants.join(" ")
            )
        });
        match (granted, otherwise) {
            (None, None) => None,
            (Some(granted), None) => Some(granted),
            (None, Some(otherwise)) => Some(otherwise),
            (Some(granted), Some(otherwise)) => Some(format!("{granted} {otherwise}")),
        }
    }
}

impl PgBoss {
    /// Why our role may not do something; `None` if it may. What was found out some seconds ago may have been granted since.
    pub(super) async fn forbidden(&self, shape: &Shape, action: AnyAction<'_>) -> Result<Option<String>, Trouble> {
        let (role, needed) = (self.db.user(), needed(action));
        if shape.lacks(needed, role).is_none() {
            return Ok(None);
        }
        self.shapes.forget(&shape.schema);
        let now = self.shape(&shape.schema).await?;
        Ok(now.and_then(|shape| shape.lacks(needed, role)))
    }

    /// [`Act::lacks`](super::super::Act::lacks): by what was last read of the installation.
    pub(super) fn lacking(&self, schema: &str, actions: &[AnyAction<'_>]) -> Option<String> {
        let Some(shape) = self.shapes.latest(schema) else {
            return Some(format!(
                "What Drover's role {} may do in the schema {schema} has not been read yet. Ask again in a few seconds.",
                self.db.user()
            ));
        };
        let mut all: Vec<Right> = Vec::new();
        for right in actions.iter().flat_map(|action| needed(*action)) {
            if !all.contains(right) {
                all.push(*right);
            }
        }
        shape.lacks(&all, self.db.user())
    }

    /// Reads what our role may do.
    pub(super) async fn rights(&self, schema: &str) -> Result<Rights, Trouble> {
        let table = |name: &str| literal(&format!("{}.{}", ident(schema), ident(name)));
        let (job, schedule, archive) = (table("job"), table("schedule"), table("archive"));
        let sql = format!(
            "select has_table_privilege({job}, 'SELECT'), \
             coalesce(has_table_privilege(to_regclass({archive}), 'SELECT'), false), \
             has_any_column_privilege({job}, 'UPDATE'), \
             has_table_privilege({job}, 'DELETE'), has_table_privilege({job}, 'INSERT'), \
             coalesce(has_table_privilege(to_regclass({schedule}), 'DELETE'), false), \
             o.rolname::text, o.rolsuper, pg_has_role(c.relowner, 'MEMBER'), \
             has_schema_privilege(c.relowner, c.relnamespace, 'CREATE') \
             from pg_class c join pg_roles o on o.oid = c.relowner where c.oid = to_regclass({job})"
        );
        let rows = self.read(Some(schema), sqlx::query(&sql)).await?;
        Ok(rows.first().map_or_else(Rights::default, |row| Rights {
            read: row.get(0),
            read_archive: row.get(1),
            update: row.get(2),
            delete: row.get(3),
            insert: row.get(4),
            unschedule: row.get(5),
            owner: Owner {
                name: row.get(6),
                is_superuser: row.get(7),
                is_ours: row.get(8),
                may_create: row.get(9),
            },
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_is_advised_and_never_to_become_a_superuser() {
        let owner = |is_superuser, is_ours, may_create| Owner {
            name: "app".into(),
            is_superuser,
            is_ours,
            may_create,
        };
        let says = |owner: Owner| owner.refusal("pgboss", "drover").unwrap_or_default();
        assert_eq!(says(owner(false, true, true)), "");
        assert!(says(owner(false, false, true)).ends_with("Allow it with: GRANT \"app\" TO \"drover\";"));
        assert!(says(owner(false, true, false)).ends_with("GRANT CREATE ON SCHEMA \"pgboss\" TO \"app\";"));
        let root = says(owner(true, false, true));
        assert!(root.contains(SCRIPT) && !root.contains("GRANT"), "{root}");
    }
}
