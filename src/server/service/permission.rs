//! Whether a caller may do something: decided here and nowhere else.
//!
//! Routes ask before their handlers begin ([`Needs`](crate::server::http::route::Needs)); everything that touches a queue asks
//! again for that queue.

use super::act::intent::Intent;
use super::act::{ActionContext, NotActed};
use super::{Answer, Service};
use crate::model::permission::Verb;
use crate::model::queue::QueueRef;
use crate::server::auth::who::{Permission, Who};

impl ActionContext {
    /// Whether a caller has a permission.
    ///
    /// # Errors
    ///
    /// Why not.
    pub fn may(&self, who: &Who, permission: Permission<'_>) -> Result<(), NotActed> {
        if !who.holds(permission.verb, permission.queue) {
            let place = permission
                .queue
                .map_or_else(String::new, |queue| format!(" in {queue}"));
            return Err(NotActed::Denied(format!(
                "{} may not {}{place}.",
                who.name,
                permission.verb.label()
            )));
        }
        if self.read_only && !permission.verb.only_reads() {
            return Err(NotActed::ReadOnly);
        }
        Ok(())
    }
}

impl Service {
    /// Whether every action is refused, for every caller.
    #[must_use]
    pub const fn is_read_only(&self) -> bool {
        self.actions.read_only
    }

    /// Whether a caller has a permission, with a queue or everywhere.
    ///
    /// # Errors
    ///
    /// Why not.
    pub fn may(&self, who: &Who, verb: Verb, queue: Option<&QueueRef>) -> Answer<()> {
        Ok(self.actions.may(who, Permission { verb, queue })?)
    }

    /// Whether a caller has every permission that an action needs.
    pub(super) fn permitted(&self, who: &Who, queue: &QueueRef, intent: &Intent) -> Result<(), NotActed> {
        intent.verbs().iter().try_for_each(|verb| {
            let permission = Permission {
                verb: *verb,
                queue: Some(queue),
            };
            self.actions.may(who, permission)
        })
    }
}
