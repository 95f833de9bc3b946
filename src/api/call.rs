//! A call, whichever way it came: who may make it, what it answers, and what is written down of it.

use std::net::IpAddr;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures::FutureExt;
use hyper::Method;
use tokio::sync::OwnedSemaphorePermit;

use super::App;
use super::respond;
use crate::contract::permit::permit;
use crate::contract::{ApiError, Call, Descriptor, Effect, Envelope, ErrorBody, Reply, Shape};
use crate::model::Caller;
use crate::store::audit::Record;

/// What both transports know of a request before they read its input.
#[derive(Debug, Clone, Copy)]
pub(super) struct Request<'a> {
    /// `group/procedure`.
    pub(super) path: &'a str,
    pub(super) method: &'a Method,
    pub(super) authorization: Option<&'a str>,
    pub(super) resume: Option<&'a str>,
    pub(super) peer: Option<IpAddr>,
}

/// An answer; a stream holds its permit as long as it lasts.
pub(super) type Answer = (Reply, Option<OwnedSemaphorePermit>);

impl App {
    /// The row that a request is for, and the call, where the caller may make it.
    pub(super) fn admit(&self, request: Request<'_>) -> Result<(&'static Descriptor, Call), ApiError> {
        let row = self.service.row(request.path).ok_or_else(|| ApiError::NoProcedure(shorten(request.path)))?;
        let is_allowed =
            *request.method == Method::POST || (*request.method == Method::GET && row.effect == Effect::Read);
        if !is_allowed {
            return Err(ApiError::MethodNotSupported);
        }
        let caller = match self.auth.caller(request.peer, request.authorization) {
            Ok(caller) => caller,
            Err(error) => return Err(self.refused(row, None, request.peer, error)),
        };
        if let Err(error) = permit(row, &caller) {
            return Err(self.refused(row, Some(&caller), request.peer, error));
        }
        let resume = request.resume.map(str::to_owned);
        Ok((row, Call { peer: request.peer, resume, ..Call::of(caller) }))
    }

    /// Calls the procedure, and writes down what was changed or refused.
    pub(super) async fn call(
        &self,
        row: &'static Descriptor,
        call: &Call,
        text: Option<&[u8]>,
    ) -> Result<Answer, ErrorBody> {
        let answer = self.answer(row, call, text).await;
        self.metrics.called(row.path, answer.as_ref().err().map(ApiError::code));
        let refused = matches!(&answer, Err(ApiError::Unauthorized(_) | ApiError::Forbidden(_)));
        if row.effect == Effect::Write || refused {
            self.write_down(row, call, answer.as_ref().err());
        }
        answer.map_err(|error| respond::told(&error, row))
    }

    async fn answer(&self, row: &'static Descriptor, call: &Call, text: Option<&[u8]>) -> Result<Answer, ApiError> {
        let input = text.map(Envelope::read).transpose()?.unwrap_or_default();
        // Before the procedure begins, so that one too many costs nothing.
        let permit = match row.shape {
            Shape::Call => None,
            Shape::Stream => match self.streams.clone().try_acquire_owned() {
                Ok(permit) => Some(permit),
                Err(_) => {
                    let limit = format!("there are {} event streams already, and no more at once", self.limits.streams);
                    return Err(ApiError::TooManyRequests(limit));
                }
            },
        };
        let answer = AssertUnwindSafe(self.service.call(row, call, &input)).catch_unwind().await;
        let reply = answer.unwrap_or_else(|_| Err(ApiError::Internal("the procedure panicked".to_owned())))?;
        Ok((reply, permit))
    }

    /// A call that was not even begun. Whoever tries again and again is written down only as often as they may fail.
    fn refused(
        &self,
        row: &Descriptor,
        caller: Option<&Arc<Caller>>,
        peer: Option<IpAddr>,
        error: ApiError,
    ) -> ApiError {
        let nobody = caller.is_none_or(|caller| caller.id.is_empty());
        let is_missing = caller.is_some() && nobody;
        self.metrics.called(row.path, Some(error.code()));
        // A wrong token has been counted already.
        if !matches!(error, ApiError::TooManyRequests(_)) && (!is_missing || self.auth.failures().allow(peer).is_ok()) {
            let caller = caller.cloned().unwrap_or_else(|| Arc::new(Caller::anybody()));
            self.write_down(row, &Call { peer, ..Call::of(caller) }, Some(&error));
        }
        error
    }

    fn write_down(&self, row: &Descriptor, call: &Call, error: Option<&ApiError>) {
        let caller = &call.caller;
        let known = !caller.id.is_empty();
        let about: Vec<String> = call.about.get().into_iter().flatten().map(ToString::to_string).collect();
        let why = error.map(ToString::to_string);
        self.records.record(&Record {
            at: self.clock.wall(),
            who: known.then_some(caller.name.as_str()),
            token: known.then_some(caller.id.as_str()),
            from: call.peer,
            what: row.path,
            of: &about,
            result: error.map_or("ok", |error| error.code().as_str()),
            why: why.as_deref(),
        });
    }
}

/// A path as it may be shown in a message.
fn shorten(path: &str) -> String {
    path.chars().take(200).collect()
}
