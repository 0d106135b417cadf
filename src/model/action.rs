//! What an operator can ask for, and the effects.
//!
//! - [`types`]: the actions with what is given with them, and their effects
//! - `catalogue`: a row for each action, from which buttons, forms, API, docs and permissions are derived (on the server alone)
//! - `sentence`: what each would do, in one sentence (on the server alone)
//!
//! An action is one intent on one job, queue or schedule. The adapter checks and does it in one atomic step in the store: the
//! job must still be as the operator saw it ([`Seen`]), or nothing happens and the answer says what it is now ([`Effect`]).

#[cfg(feature = "ssr")]
pub mod catalogue;
#[cfg(feature = "ssr")]
pub mod sentence;
pub mod types;

pub use types::*;
