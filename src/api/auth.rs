//! Who calls: from the header of a request to a caller, and who fails at that too often.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::clock::Clock;
use crate::contract::ApiError;
use crate::model::Caller;
use crate::store::tokens::Tokens;

/// How often somebody at one address may fail before it is made to wait.
const BURST: f64 = 10.0;
/// How long it takes until one more failure is allowed.
const REFILL: Duration = Duration::from_secs(6);
/// The most addresses that are remembered; beyond it the one that failed longest ago is forgotten.
const ADDRESSES: usize = 4096;

/// Knows callers by their tokens.
#[derive(Clone)]
pub struct Auth {
    tokens: Arc<Tokens>,
    failures: Arc<Failures>,
}

impl Auth {
    /// Knows the callers of these tokens.
    pub fn new(tokens: Arc<Tokens>, clock: Arc<dyn Clock>) -> Self {
        Self { tokens, failures: Arc::new(Failures::new(clock)) }
    }

    /// Who sent this `authorization` header; anybody, where there is none. A right token is right however often others
    /// at that address were wrong: nobody guesses 32 bytes, and programs on one machine share its address.
    pub(super) fn caller(&self, peer: Option<IpAddr>, authorization: Option<&str>) -> Result<Arc<Caller>, ApiError> {
        let Some(header) = authorization else { return Ok(Arc::new(Caller::anybody())) };
        let token = header.split_once(' ').filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
        if let Some(caller) = token.and_then(|(_, token)| self.tokens.verify(token.trim())) {
            return Ok(caller);
        }
        self.failures.allow(peer)?;
        Err(ApiError::Unauthorized("this access token is wrong, was revoked or has expired".to_owned()))
    }

    /// Who fails too often to be told why.
    pub(super) fn failures(&self) -> &Failures {
        &self.failures
    }

    /// Completes when this caller's token is worthless; never for who needed none.
    pub(super) async fn ended(&self, caller: &Caller) {
        if caller.id.is_empty() {
            std::future::pending::<()>().await;
        }
        self.tokens.ended(&caller.id).await;
    }
}

/// Failures of each address, as a bucket that is filled up again as time goes by.
pub(super) struct Failures {
    clock: Arc<dyn Clock>,
    buckets: Mutex<HashMap<IpAddr, (f64, Duration)>>,
}

impl Failures {
    pub(super) fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, buckets: Mutex::default() }
    }

    /// Takes note of a failure.
    ///
    /// # Errors
    /// [`ApiError::TooManyRequests`] where there were too many from there.
    pub(super) fn allow(&self, peer: Option<IpAddr>) -> Result<(), ApiError> {
        let peer = peer.unwrap_or(IpAddr::from([0; 4]));
        let now = self.clock.monotonic();
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        if buckets.len() >= ADDRESSES && !buckets.contains_key(&peer) {
            let oldest = buckets.iter().min_by_key(|(_, (_, at))| *at).map(|(peer, _)| *peer);
            oldest.and_then(|oldest| buckets.remove(&oldest));
        }
        let (left, at) = buckets.entry(peer).or_insert((BURST, now));
        *left = (*left + now.saturating_sub(*at).as_secs_f64() / REFILL.as_secs_f64()).min(BURST);
        *at = now;
        if *left < 1.0 {
            return Err(ApiError::TooManyRequests(format!("too many failed logins from {peer}: wait a while")));
        }
        *left -= 1.0;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ManualClock;

    #[test]
    fn an_address_that_fails_too_often_waits_and_others_do_not() {
        let clock = ManualClock::default();
        let failures = Failures::new(Arc::new(clock.clone()));
        let address = |last| Some(IpAddr::from([10, 0, 0, last]));
        for _ in 0..10 {
            failures.allow(address(1)).expect("allowed");
        }
        assert!(matches!(failures.allow(address(1)), Err(ApiError::TooManyRequests(_))));
        failures.allow(address(2)).expect("another one");
        clock.advance(REFILL);
        failures.allow(address(1)).expect("one more after a while");
        assert!(failures.allow(address(1)).is_err());
        for last in 0..=255 {
            for third in 0..32 {
                failures.allow(Some(IpAddr::from([10, 1, third, last]))).expect("new ones");
            }
        }
        assert!(failures.buckets.lock().expect("unpoisoned").len() <= ADDRESSES);
    }
}
