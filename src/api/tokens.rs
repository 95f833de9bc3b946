//! The procedures of `tokens`.

use std::time::Duration;

use super::Api;
use crate::contract::{ApiError, Conflict, ConflictReason, CreateTokenInput, NewToken, TokenInfo};
use crate::model::{Name, Role, Secret};
use crate::store::tokens::{Entry, TokenError, Wanted};

/// How long a token may be good for, in seconds: a minute to ten years.
const LIFE: std::ops::RangeInclusive<u64> = 60..=315_360_000;

impl Api {
    pub(super) async fn create_token(&self, input: CreateTokenInput) -> Result<NewToken, ApiError> {
        let wanted = wanted(input)?;
        let (token, entry) = self.with_tokens(move |tokens| tokens.create(wanted)).await?;
        Ok(self.new_token(token, entry))
    }

    pub(super) fn tokens(&self) -> Vec<TokenInfo> {
        self.parts.tokens.list().into_iter().map(info).collect()
    }

    pub(super) async fn revoke_token(&self, name: Name) -> Result<TokenInfo, ApiError> {
        self.with_tokens(move |tokens| tokens.revoke(&name)).await.map(info)
    }

    pub(super) fn new_token(&self, token: Secret, entry: Entry) -> NewToken {
        NewToken { token, info: info(entry), agent: self.parts.identity.id.clone() }
    }

    /// Changes tokens off the threads that answer, since it waits for the disk.
    pub(super) async fn with_tokens<T: Send + 'static>(
        &self,
        change: impl FnOnce(&crate::store::tokens::Tokens) -> Result<T, TokenError> + Send + 'static,
    ) -> Result<T, ApiError> {
        let tokens = self.parts.tokens.clone();
        let done = tokio::task::spawn_blocking(move || change(&tokens)).await;
        done.map_err(|error| ApiError::Internal(format!("a change of tokens ended early: {error}")))?.map_err(failed)
    }
}

/// The token that an input asks for.
pub(super) fn wanted(input: CreateTokenInput) -> Result<Wanted, ApiError> {
    let CreateTokenInput { name, role, workspaces, expires_in, allow_host } = input;
    if workspaces.as_ref().is_some_and(std::collections::BTreeSet::is_empty) {
        return Err(ApiError::bad_request("workspaces", "names none; leave it out for all"));
    }
    if role == Role::Admin && workspaces.is_some() {
        return Err(ApiError::bad_request("workspaces", "an admin has all of them; use role user or viewer"));
    }
    if role == Role::Viewer && allow_host {
        return Err(ApiError::bad_request("allowHost", "is for role user: a viewer runs nothing"));
    }
    if expires_in.is_some_and(|seconds| !LIFE.contains(&seconds)) {
        let message = format!("is {} to {} seconds, or left out for never", LIFE.start(), LIFE.end());
        return Err(ApiError::bad_request("expiresIn", message));
    }
    Ok(Wanted { name, role, workspaces, allow_host, expires_in: expires_in.map(Duration::from_secs) })
}

/// A token's name that is taken.
pub(super) fn taken(name: &Name) -> ApiError {
    let mut conflict = Conflict::new(ConflictReason::Exists, name, format!("there is a token {name} already"));
    conflict.hint = Some(format!("choose another name, or make that one worthless: perry token revoke {name}"));
    conflict.into()
}

fn failed(error: TokenError) -> ApiError {
    match error {
        TokenError::Exists(name) => taken(&name),
        TokenError::Absent(name) => ApiError::NoToken(name),
        TokenError::TooMany => ApiError::TooManyRequests(error.to_string()),
        TokenError::Store(error) => ApiError::Unavailable(error.chain()),
    }
}

fn info(entry: Entry) -> TokenInfo {
    let Entry { id, name, role, workspaces, allow_host, created, expires, last_used, .. } = entry;
    TokenInfo { id, name, role, workspaces, allow_host, created, expires, last_used }
}
