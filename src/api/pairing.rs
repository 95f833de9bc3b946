//! Pairing: a short code, shown on one device, is traded on another for a token of its own.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::Api;
use super::auth::Failures;
use super::tokens::{taken, wanted};
use crate::clock::Clock;
use crate::contract::{ApiError, Call, CreateTokenInput, NewToken, PairOffer};
use crate::model::Secret;
use crate::store::random;
use crate::store::tokens::Wanted;

/// How long a code works.
const LIFE: Duration = Duration::from_secs(300);
/// The most codes that work at once.
const MOST: usize = 16;
/// Letters of a code: those of Crockford's base 32, in which none is taken for another
/// (<https://www.crockford.com/base32.html>).
const LETTERS: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
/// How many there are; ten are 50 bits, of which at most 16 times ten a minute and address are tried.
const LENGTH: usize = 10;

/// Codes that wait for being claimed. They are in memory alone: they do not outlast the agent.
pub(super) struct Offers {
    clock: Arc<dyn Clock>,
    failures: Failures,
    open: Mutex<Vec<Offer>>,
}

struct Offer {
    hash: [u8; 32],
    wanted: Wanted,
    until: Duration,
}

impl Offers {
    pub(super) fn new(clock: Arc<dyn Clock>) -> Self {
        Self { failures: Failures::new(clock.clone()), clock, open: Mutex::default() }
    }

    fn add(&self, wanted: Wanted) -> Result<Secret, ApiError> {
        let bytes = random::bytes::<LENGTH>().map_err(|error| ApiError::Unavailable(error.chain()))?;
        let code: String = bytes.iter().map(|byte| char::from(LETTERS[usize::from(byte % 32)])).collect();
        let now = self.clock.monotonic();
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.retain(|offer| now < offer.until);
        if open.len() >= MOST {
            return Err(ApiError::TooManyRequests(format!("{MOST} codes wait for being used already")));
        }
        open.push(Offer { hash: hash(&code), wanted, until: now + LIFE });
        Ok(Secret(format!("{}-{}", &code[..LENGTH / 2], &code[LENGTH / 2..])))
    }

    /// What a code was made for. It works no more.
    fn take(&self, call: &Call, code: &str) -> Result<Wanted, ApiError> {
        let hash = hash(&plain(code));
        let now = self.clock.monotonic();
        // Before it is tried: a code is short enough to be guessed by who may try without end.
        self.failures.allow(call.peer)?;
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.retain(|offer| now < offer.until);
        // All are compared, however early one fits.
        let fits = open.iter().map(|offer| bool::from(offer.hash.ct_eq(&hash)));
        let found = fits.enumerate().fold(None, |found, (index, fits)| if fits { Some(index) } else { found });
        let index = found.ok_or_else(|| {
            ApiError::Forbidden("this code is wrong, was used or is over five minutes old: perry pair".to_owned())
        })?;
        Ok(open.swap_remove(index).wanted)
    }
}

impl Api {
    pub(super) fn offer(&self, input: CreateTokenInput) -> Result<PairOffer, ApiError> {
        let wanted = wanted(input)?;
        if self.parts.tokens.list().iter().any(|entry| entry.name == wanted.name) {
            return Err(taken(&wanted.name));
        }
        let code = self.offers.add(wanted)?;
        let wall = self.parts.clock.wall();
        let identity = &self.parts.identity;
        let expires = wall.checked_add(LIFE).unwrap_or(wall);
        Ok(PairOffer { code, expires, agent: identity.id.clone(), addresses: identity.urls.clone() })
    }

    pub(super) async fn claim(&self, call: &Call, code: &Secret) -> Result<NewToken, ApiError> {
        let wanted = self.offers.take(call, &code.0)?;
        call.about.get_or_init(|| vec![wanted.name.clone()]);
        let (token, entry) = self.with_tokens(move |tokens| tokens.create(wanted)).await?;
        Ok(self.new_token(token, entry))
    }
}

fn hash(code: &str) -> [u8; 32] {
    Sha256::digest(code.as_bytes()).into()
}

/// A code as people type it, in the form in which it was made.
fn plain(code: &str) -> String {
    let letters = code.chars().filter(|c| !c.is_whitespace() && *c != '-').take(2 * LENGTH);
    letters
        .map(|c| c.to_ascii_uppercase())
        .map(|c| match c {
            'O' => '0',
            'I' | 'L' => '1',
            other => other,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ManualClock;
    use crate::model::{Caller, Role};

    fn wanted(name: &str) -> Wanted {
        let name = name.parse().expect("a name");
        Wanted { name, role: Role::User, workspaces: None, allow_host: false, expires_in: None }
    }

    fn call(last: u8) -> Call {
        Call { peer: Some([10, 0, 0, last].into()), ..Call::of(Arc::new(Caller::anybody())) }
    }

    #[test]
    fn a_code_works_once_within_five_minutes_and_however_it_is_typed() {
        let clock = ManualClock::default();
        let offers = Offers::new(Arc::new(clock.clone()));
        let Secret(code) = offers.add(wanted("phone")).expect("made");
        assert_eq!(offers.take(&call(1), &format!(" {} ", code.to_lowercase().replace('-', " "))), Ok(wanted("phone")));
        assert!(matches!(offers.take(&call(1), &code), Err(ApiError::Forbidden(_))), "it was used");
        let Secret(late) = offers.add(wanted("late")).expect("made");
        clock.advance(LIFE);
        assert!(matches!(offers.take(&call(1), &late), Err(ApiError::Forbidden(_))), "it is too old");
    }

    #[test]
    fn codes_are_neither_guessed_nor_made_without_end() {
        let offers = Offers::new(Arc::new(ManualClock::default()));
        let Secret(code) = offers.add(wanted("phone")).expect("made");
        for _ in 0..10 {
            assert!(matches!(offers.take(&call(1), "0000000000"), Err(ApiError::Forbidden(_))));
        }
        assert!(matches!(offers.take(&call(1), &code), Err(ApiError::TooManyRequests(_))), "not even the right one");
        assert!(offers.take(&call(2), &code).is_ok(), "from elsewhere it works");
        for _ in 0..MOST {
            offers.add(wanted("x")).expect("made");
        }
        assert!(matches!(offers.add(wanted("x")), Err(ApiError::TooManyRequests(_))));
    }
}
