//! What Drover can do to queues of libraries that it only recognises: nothing.

use super::library::Library;
use crate::model::capability::{Capabilities, Generation};
use crate::model::system::Family;
use std::borrow::Cow;
use std::sync::LazyLock;

/// One generation for each library.
pub(super) static ALL: LazyLock<Vec<Capabilities>> = LazyLock::new(|| Library::ALL.map(of).to_vec());

/// What a library is decided by.
const EVIDENCE: (&str, &str) = ("index", "Its library's set of queues lists it.");

/// What is said of a queue whose library is not known any more, and of workers.
pub(super) const NOT_READ: &str = "This version of Drover recognises the library and does not support it.";

/// Why queues of a library are neither read nor changed.
pub(super) const fn reason(library: Library) -> &'static str {
    match library {
        Library::Rq => "RQ is not supported by this version of Drover. Its jobs are neither counted nor changed.",
        Library::Resque => {
            "Resque is not supported by this version of Drover. Its jobs are neither counted nor changed."
        }
        Library::Sidekiq => {
            "Sidekiq is not supported by this version of Drover. Its jobs are neither counted nor changed."
        }
        Library::Kue => "Kue is not supported by this version of Drover. Its jobs are neither counted nor changed.",
    }
}

/// The family of a library's queues.
pub(super) const fn family(library: Library) -> Family {
    Family {
        layout: Cow::Borrowed(library.system().word()),
        evidence: Cow::Borrowed(EVIDENCE.0),
    }
}

/// The family of a queue of none.
pub(super) const fn none() -> Family {
    Family {
        layout: Cow::Borrowed("unknown"),
        evidence: Cow::Borrowed(EVIDENCE.0),
    }
}

fn of(library: Library) -> Capabilities {
    let generation = Generation {
        system: library.system(),
        layout: library.system().word().to_owned(),
        label: library.system().label().to_owned(),
        unsupported: Some(reason(library).to_owned()),
        states: vec![],
        uncounted: None,
        evidence: [(EVIDENCE.0.to_owned(), EVIDENCE.1.to_owned())].into(),
    };
    let no = reason(library);
    Capabilities::new(generation, |_| Err(no), |_| Err(no))
}
