//! Idempotency keys: the same request twice does its work once.

use super::super::Service;
use super::{Acted, NotActed};
use crate::server::audit::record::Key;
use crate::server::audit::{Audit, Claim};

/// An idempotency key that is given back unless something is done with it.
pub(in super::super) struct Claimed<'a> {
    audit: &'a Audit,
    pub(in super::super) key: Option<Key>,
}

impl Drop for Claimed<'_> {
    fn drop(&mut self) {
        if let Some(key) = &self.key {
            self.audit.release(key);
        }
    }
}

impl Service {
    /// Claims an idempotency key; the inner error is the result of the request that used it before.
    pub(in super::super) fn claim(&self, key: Option<&Key>) -> Result<Result<Claimed<'_>, Acted>, NotActed> {
        let audit = &*self.actions.audit;
        let mut claimed = Claimed { audit, key: None };
        match key.map(|key| (key, audit.claim(key))) {
            None => {}
            Some((key, Claim::New)) => claimed.key = Some(key.clone()),
            Some((_, Claim::Running)) => return Err(NotActed::KeyRunning),
            Some((_, Claim::Other)) => return Err(NotActed::KeyUsed),
            Some((_, Claim::Again(record, became))) => {
                return Ok(Err(Acted {
                    entry: record.entry(&became),
                    became,
                    replayed: true,
                }));
            }
        }
        Ok(Ok(claimed))
    }
}
