//! Routes, each with the permission that its caller needs.
//!
//! There is no way to add a route without one, and it is checked before the handler begins (S-4): by the route that
//! was matched, with the queue that it names, and not by how the path is written.

use super::caller::{Caller, wants_page};
use super::pages;
use crate::model::permission::Verb;
use crate::model::queue::QueueRef;
use crate::server::auth::who::Who;
use crate::server::http::state::App;
use axum::Router;
use axum::extract::{DefaultBodyLimit, FromRequestParts as _, RawPathParams, Request};
use axum::handler::Handler;
use axum::response::{IntoResponse as _, Response};
use axum::routing::{MethodFilter, MethodRouter, any as any_method, on};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use std::pin::Pin;

/// Bytes of a body before sign-in: enough for a name and a password.
const BODY_BEFORE_SIGN_IN: usize = 16 * 1024;

/// What a route needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Needs {
    /// Nothing: it tells of Drover itself, or of how its pages look.
    Nothing,
    /// To read the status page, where that is not public.
    Status,
    /// To look at queues and jobs.
    View,
    /// To read who did what.
    AuditRead,
    /// To act. Which permission that is depends on the action, and the service checks it, on every queue that is
    /// touched; the route only checks that the caller may look.
    Act,
}

impl Needs {
    /// The permission that is checked before the handler begins.
    #[must_use]
    pub const fn verb(self) -> Option<Verb> {
        match self {
            Self::Nothing => None,
            Self::Status => Some(Verb::Status),
            Self::View | Self::Act => Some(Verb::View),
            Self::AuditRead => Some(Verb::AuditRead),
        }
    }
}

/// The methods of a route, each with what it needs.
#[derive(Debug)]
pub struct Guarded {
    methods: MethodRouter<App>,
    declared: Vec<Declared>,
}

/// Routes that are declared.
#[derive(Debug, Default)]
pub struct Routes {
    router: Router<App>,
    declared: Vec<Declared>,
}

/// A method of a route.
#[derive(Clone, Copy, Debug)]
pub struct Declared {
    /// The path of the route.
    pub path: &'static str,
    /// The method; `*` for any.
    pub method: &'static str,
    /// What is checked before the handler begins.
    pub needs: Needs,
    /// Its description in the API document, where it has one of its own.
    pub described: Option<Described>,
}

impl Declared {
    const fn new(method: &'static str, needs: Needs) -> Self {
        Self {
            path: "",
            method,
            needs,
            described: None,
        }
    }
}

/// A method of the API as its document describes it.
#[derive(Clone, Copy, Debug)]
pub struct Described {
    /// What it does, or what is read.
    pub summary: &'static str,
    /// The parameters behind `?`.
    pub query: &'static [&'static str],
    /// The body that is sent.
    pub body: Option<SchemaOf>,
    /// The JSON that is answered; `None` for bytes.
    pub answer: Option<SchemaOf>,
}

/// Makes the schema of a type.
pub type SchemaOf = fn(&mut SchemaGenerator) -> Schema;

/// The schema of a type, as a part of the document it belongs to.
pub fn schema_of<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    generator.subschema_for::<T>()
}

/// A route that is read.
pub fn get<T: 'static, H: Handler<T, App>>(needs: Needs, handler: H) -> Guarded {
    Guarded {
        methods: on(MethodFilter::GET, asked(needs, handler)),
        declared: vec![Declared::new("GET", needs)],
    }
}

/// A route that something is sent to.
pub fn post<T: 'static, H: Handler<T, App>>(needs: Needs, handler: H) -> Guarded {
    Guarded {
        methods: on(MethodFilter::POST, asked(needs, handler)),
        declared: vec![Declared::new("POST", needs)],
    }
}

/// A route for whatever is asked.
pub fn any<T: 'static, H: Handler<T, App>>(needs: Needs, handler: H) -> Guarded {
    Guarded {
        methods: any_method(asked(needs, handler)),
        declared: vec![Declared::new("*", needs)],
    }
}

impl Guarded {
    /// The same route, where something is sent to it.
    #[must_use]
    pub fn post<T: 'static, H: Handler<T, App>>(mut self, needs: Needs, handler: H) -> Self {
        self.methods = self.methods.on(MethodFilter::POST, asked(needs, handler));
        self.declared.push(Declared::new("POST", needs));
        self
    }

    /// The document says of the method before: it answers with this JSON.
    #[must_use]
    pub fn answers<T: JsonSchema>(self, summary: &'static str) -> Self {
        self.describe(summary, Some(schema_of::<T>))
    }

    /// The document says of the method before: it answers with bytes.
    #[must_use]
    pub fn answers_bytes(self, summary: &'static str) -> Self {
        self.describe(summary, None)
    }

    /// The document says of the method before: it takes these parameters behind `?`.
    #[must_use]
    pub fn query(mut self, query: &'static [&'static str]) -> Self {
        self.last().query = query;
        self
    }

    /// The document says of the method before: this is sent to it.
    #[must_use]
    pub fn takes<T: JsonSchema>(mut self) -> Self {
        self.last().body = Some(schema_of::<T>);
        self
    }

    fn describe(mut self, summary: &'static str, answer: Option<SchemaOf>) -> Self {
        let described = self.last();
        described.summary = summary;
        described.answer = answer;
        self
    }

    fn last(&mut self) -> &mut Described {
        let last = self
            .declared
            .last_mut()
            .unwrap_or_else(|| unreachable!("made with a method"));
        last.described.get_or_insert(Described {
            summary: "",
            query: &[],
            body: None,
            answer: None,
        })
    }
}

impl Routes {
    /// One more.
    #[must_use]
    pub fn route(mut self, path: &'static str, guarded: Guarded) -> Self {
        let declared = guarded.declared.into_iter();
        self.declared.extend(declared.map(|method| Declared { path, ..method }));
        self.router = self.router.route(path, guarded.methods);
        self
    }

    /// What was declared.
    #[must_use]
    pub fn declared(&self) -> &[Declared] {
        &self.declared
    }

    /// The routes themselves.
    pub fn into_router(self) -> Router<App> {
        self.router
    }
}

/// A handler that begins only if the caller has the permission.
const fn asked<H>(needs: Needs, handler: H) -> Asked<H> {
    Asked { needs, handler }
}

#[derive(Clone, Debug)]
struct Asked<H> {
    needs: Needs,
    handler: H,
}

impl<T: 'static, H: Handler<T, App>> Handler<(T, Needs), App> for Asked<H> {
    type Future = Pin<Box<dyn Future<Output = Response> + Send>>;

    fn call(self, request: Request, app: App) -> Self::Future {
        Box::pin(async move {
            let (mut parts, body) = request.into_parts();
            if let Some(verb) = self.needs.verb() {
                let caller = match Caller::from_request_parts(&mut parts, &app).await {
                    Ok(caller) => caller,
                    Err(refused) => return refused,
                };
                let named = RawPathParams::from_request_parts(&mut parts, &app).await;
                let queue = named.ok().as_ref().and_then(queue_of);
                if let Err(refusal) = app.service().may(&caller.who, verb, queue.as_ref()) {
                    return match wants_page(parts.uri.path(), &parts.headers) {
                        true => pages::denied(&app, &parts, &refusal),
                        false => refusal.into_response(),
                    };
                }
            }
            let mut request = Request::from_parts(parts, body);
            if request.extensions().get::<Who>().is_none() {
                DefaultBodyLimit::max(BODY_BEFORE_SIGN_IN).apply(&mut request);
            }
            self.handler.call(request, app).await
        })
    }
}

/// The queue that a path names.
fn queue_of(params: &RawPathParams) -> Option<QueueRef> {
    let of = |wanted: &str| {
        let found = params.iter().find(|(name, _)| *name == wanted);
        found.map(|(_, value)| value.to_owned())
    };
    Some(QueueRef {
        store: of("store")?,
        queue: of("queue")?,
    })
}
