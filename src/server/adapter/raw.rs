//! A finished job as it is stored, every byte of it: what an archive keeps, and what a removal is compared with.
//!
//! Nothing here is read as text but the [`Brief`]. Names of fields, values and lines of a log may be any bytes.

use crate::model::Millis;
use crate::model::action::Effect;
use crate::model::state::JobState;

/// The largest job that is read whole, in bytes as its store counts them.
pub const JOB_MAX: u64 = 64 * 1024 * 1024;

/// Bytes of jobs that are read at a time: a larger job is read by itself.
pub const BATCH_BYTES: u64 = 2 * 1024 * 1024;

/// A finished job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawJob {
    /// Its id.
    pub id: String,
    /// Completed or failed.
    pub state: JobState,
    /// When it finished, as its record says.
    pub finished_on: Millis,
    /// How many attempts had ended.
    pub attempts: u64,
    /// What a search finds it by; empty for a job that comes out of the archive, which stores it beside the record.
    pub brief: Brief,
    /// The fields of its record with their values, by name.
    pub fields: Vec<(Vec<u8>, Vec<u8>)>,
    /// The lines of its log, oldest first.
    pub logs: Vec<Vec<u8>>,
    /// What else is stored below it, by name.
    pub parts: Vec<Part>,
}

/// What a job can be searched by.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Brief {
    /// Its name.
    pub name: String,
    /// When it was created.
    pub created: Option<Millis>,
    /// When its last attempt began.
    pub started: Option<Millis>,
    /// Its last error.
    pub error: Option<String>,
}

/// Something that is stored below a job, such as the children that a parent had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// What follows the key of the job, such as `processed`.
    pub name: String,
    /// Its members: of a hash names and values in turn, of a sorted set members and scores in turn.
    pub items: Vec<Vec<u8>>,
}

impl RawJob {
    /// The value of a field.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&[u8]> {
        let at = self
            .fields
            .binary_search_by(|(known, _)| known.as_slice().cmp(name.as_bytes()));
        at.ok()
            .and_then(|at| self.fields.get(at))
            .map(|(_, value)| value.as_slice())
    }

    /// Its bytes.
    #[must_use]
    pub fn size(&self) -> usize {
        let fields: usize = self.fields.iter().map(|(name, value)| name.len() + value.len()).sum();
        let logs: usize = self.logs.iter().map(Vec::len).sum();
        let parts = self.parts.iter().flat_map(|part| &part.items).map(Vec::len);
        fields + logs + parts.sum::<usize>()
    }
}

/// The result of reading a job whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Whole {
    /// The job.
    Job(RawJob),
    /// It is not there, not as it was shown, or cannot be read whole.
    Not(Effect),
}
