//! From which web pages the agent may be spoken to, and by which names: from its own origin, from those that the settings
//! list, and from none at all (`null`: the WebView of a phone's app), as no procedure but `pair.claim` does anything
//! without a token, which no page of somebody else's has. And none of them by mistake: a request that names another
//! agent got here because that one is gone and its port is ours now.
//!
//! A page elsewhere can make the browser of this machine send requests here. It cannot do so with our `Host` unless it
//! uses our address, in which case the browser says its `Origin`, or, where it does not (a plain GET), the
//! `Sec-Fetch-Site`.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};

use axum::body::Body;
use axum::response::Response;
use hyper::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_MAX_AGE,
    ACCESS_CONTROL_REQUEST_METHOD, HOST, HeaderMap, HeaderName, HeaderValue, ORIGIN, VARY,
};
use hyper::http::request::Parts;
use hyper::{Method, StatusCode};

use crate::contract::{self, ApiError};

/// What a client of another origin may send (`x-csrf-token`: a plugin of stock clients).
const ALLOWED_HEADERS: &str = "content-type, authorization, last-event-id, perry-agent, x-csrf-token";

/// Decides by Host, Origin and the agent that is named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Guard {
    agent: String,
    addresses: BTreeSet<IpAddr>,
    /// Listens on all addresses of the machine, whichever those are. A rebound name is a name, never an address.
    everywhere: bool,
    ports: BTreeSet<u16>,
    /// Names of the machine, in small letters.
    names: BTreeSet<String>,
    origins: BTreeSet<String>,
}

/// Why an entry of `allowedOrigins` is no origin.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("allowedOrigins: {0:?} is no origin; write scheme, host and port only, such as https://perry.example.com")]
pub struct OriginError(String);

/// What becomes of a request.
#[derive(Debug)]
pub(super) enum Verdict {
    /// It is answered.
    Pass(Passed),
    /// It is the question of a browser whether a page may send another; this is the answer.
    Preflight(Response),
    /// It is refused.
    Refuse(ApiError),
}

/// A request that may be answered.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Passed {
    /// The foreign origin that the answer is to be shown to.
    foreign: Option<HeaderValue>,
}

impl Passed {
    /// Lets the browser show the answer to the page of an allowed origin, and to no other.
    pub(super) fn mark(&self, headers: &mut HeaderMap) {
        if let Some(origin) = &self.foreign {
            headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
        }
        headers.append(VARY, HeaderValue::from_static("Origin"));
    }
}

impl Guard {
    /// A guard for the agent of this id, which listens on these addresses of the machine of this name.
    ///
    /// # Errors
    /// An allowed origin is none; `*` and `null` are none.
    pub fn new(agent: &str, hostname: &str, bound: &[SocketAddr], allowed: &[String]) -> Result<Self, OriginError> {
        let origins = allowed.iter().map(|origin| normal(origin)).collect::<Result<_, _>>()?;
        let hostname = hostname.to_ascii_lowercase();
        // The second is the machine's name by multicast DNS (RFC 6762).
        let mut names = BTreeSet::from(["localhost".to_owned(), format!("{hostname}.local")]);
        names.insert(hostname);
        Ok(Self {
            agent: agent.to_owned(),
            addresses: bound.iter().map(SocketAddr::ip).collect(),
            everywhere: bound.iter().any(|address| address.ip().is_unspecified()),
            ports: bound.iter().map(SocketAddr::port).collect(),
            names,
            origins,
        })
    }

    pub(super) fn judge(&self, request: &Parts) -> Verdict {
        match self.origin(request).and_then(|passed| self.named(request).map(|()| passed)) {
            Err(error) => Verdict::Refuse(error),
            Ok(passed) if is_preflight(request) => Verdict::Preflight(preflight(&passed)),
            Ok(passed) => Verdict::Pass(passed),
        }
    }

    fn origin(&self, request: &Parts) -> Result<Passed, ApiError> {
        self.host(request)?;
        let Some(origin) = single(&request.headers, &ORIGIN)? else {
            return same_site(request).map(|()| Passed { foreign: None });
        };
        let text = origin.to_str().unwrap_or_default().to_ascii_lowercase();
        if text == "null" || self.origins.contains(&text) {
            return Ok(Passed { foreign: Some(origin.clone()) });
        }
        let own = text.strip_prefix("http://").or_else(|| text.strip_prefix("https://"));
        if own.is_some_and(|host| self.is_own_name(host)) {
            return Ok(Passed { foreign: None });
        }
        Err(ApiError::Forbidden(format!("Origin {text:?} may not use this agent; allowedOrigins lists who may")))
    }

    /// Whether the request is for this agent, or for any.
    fn named(&self, request: &Parts) -> Result<(), ApiError> {
        match single(&request.headers, &HeaderName::from_static(contract::AGENT))? {
            Some(named) if named.as_bytes() != self.agent.as_bytes() => Err(ApiError::Misdirected),
            _ => Ok(()),
        }
    }

    /// Against DNS rebinding: a foreign name that was made to point here is still a foreign name.
    fn host(&self, request: &Parts) -> Result<(), ApiError> {
        let host = single(&request.headers, &HOST)?.and_then(|host| host.to_str().ok()).unwrap_or_default();
        // `GET http://host/path` names a host, too.
        let target = request.uri.authority().map(|authority| authority.as_str());
        match [Some(host), target].into_iter().flatten().find(|host| !self.is_own(host)) {
            None => Ok(()),
            Some(foreign) => Err(ApiError::Forbidden(format!("Host {foreign:?} is not a name of this agent"))),
        }
    }

    /// Whether a host is one of ours, or that of an origin that is allowed: a proxy in front sends its own name on.
    fn is_own(&self, host: &str) -> bool {
        let host = host.to_ascii_lowercase();
        let listed = |origin: &String| origin.split_once("://").is_some_and(|(_, listed)| listed == host);
        self.is_own_name(&host) || self.origins.iter().any(listed)
    }

    fn is_own_name(&self, host: &str) -> bool {
        let (name, port) = match host.rsplit_once(':') {
            Some((name, port)) if !port.ends_with(']') => (name, port.parse().ok()),
            _ => (host, Some(80)),
        };
        if !port.is_some_and(|port| self.ports.contains(&port)) {
            return false;
        }
        let address = match name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            Some(v6) => v6.parse().map(IpAddr::V6).ok(),
            None => name.parse().map(IpAddr::V4).ok(),
        };
        match address {
            Some(address) => self.everywhere || address.is_loopback() || self.addresses.contains(&address),
            None => self.names.contains(name),
        }
    }
}

/// An origin in the form in which browsers send it.
fn normal(origin: &str) -> Result<String, OriginError> {
    let fail = || OriginError(origin.to_owned());
    let (scheme, host) = origin.split_once("://").ok_or_else(fail)?;
    let plain = |text: &str, more: &str| {
        !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || more.contains(c))
    };
    // No path, user or wildcard. Apps have schemes of their own, such as `capacitor://localhost`.
    if plain(scheme, "+-.") && plain(host, "-._:[]") { Ok(origin.to_ascii_lowercase()) } else { Err(fail()) }
}

/// The one header of a name; two of them are a trick.
fn single<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a HeaderValue>, ApiError> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (value, None) => Ok(value),
        (_, Some(_)) => Err(ApiError::Forbidden(format!("more than one {name} header"))),
    }
}

/// Without an Origin a browser may still have been sent here by a foreign page: by an image or a link.
fn same_site(request: &Parts) -> Result<(), ApiError> {
    let site = request.headers.get("sec-fetch-site").map(HeaderValue::as_bytes);
    match site {
        None | Some(b"same-origin" | b"none") => Ok(()),
        // A link to a page of ours is as good as its address typed in.
        Some(_) if !is_procedure(request) => Ok(()),
        Some(_) => Err(ApiError::Forbidden("a page of another site may not call this agent".to_owned())),
    }
}

fn is_procedure(request: &Parts) -> bool {
    request.uri.path().starts_with("/rpc")
}

fn is_preflight(request: &Parts) -> bool {
    request.method == Method::OPTIONS && request.headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD)
}

fn preflight(passed: &Passed) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    let headers = response.headers_mut();
    passed.mark(headers);
    headers.insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("GET, POST"));
    headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static(ALLOWED_HEADERS));
    headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("600"));
    // Chromium asks this before a public page may speak to an address of the local network.
    headers.insert("access-control-allow-private-network", HeaderValue::from_static("true"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::Request;

    fn guard() -> Guard {
        let bound = ["127.0.0.1:7391".parse().expect("address"), "[fd00::7]:7391".parse().expect("address")];
        Guard::new("agent-a", "Desk", &bound, &["https://Perry.example.com".to_owned()]).expect("good origins")
    }

    fn judge(method: &str, target: &str, headers: &[(&str, &str)]) -> Result<Option<String>, String> {
        let mut request = Request::builder().method(method).uri(target);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let (parts, ()) = request.body(()).expect("a request").into_parts();
        match guard().judge(&parts) {
            Verdict::Pass(passed) => Ok(passed.foreign.map(|origin| origin.to_str().expect("text").to_owned())),
            Verdict::Preflight(response) => Err(response.status().to_string()),
            Verdict::Refuse(error) => Err(error.to_string()),
        }
    }

    #[test]
    fn only_own_names_and_addresses_with_the_own_port_are_hosts() {
        for host in
            ["127.0.0.1:7391", "localhost:7391", "LocalHost:7391", "[::1]:7391", "127.8.9.1:7391", "[fd00::7]:7391"]
        {
            assert_eq!(judge("POST", "/rpc/a/b", &[("host", host)]), Ok(None), "{host}");
        }
        for host in [
            "",
            "localhost",
            "localhost:80",
            "localhost:7392",
            "evil.example:7391",
            "localhost.evil.example:7391",
            "evil.example",
            "127.0.0.1.evil.example:7391",
            "192.168.1.7:7391",
            "[::2]:7391",
            "::1:7391",
            "127.0.0.1:7391:7391",
            "localhost:7391@evil.example",
            "user@localhost:7391",
            "localhost:",
            "[::1]",
            "2130706433:7391",
            "127.1:7391",
            "localhost.:7391",
            " localhost:7391",
            "0.0.0.0:7391",
        ] {
            let refused = judge("POST", "/rpc/a/b", &[("host", host)]).expect_err(host);
            assert!(refused.starts_with("Host "), "{host}: {refused}");
        }
        assert!(judge("POST", "/rpc/a/b", &[]).is_err(), "no host at all");
        assert!(judge("POST", "/rpc/a/b", &[("host", "localhost:7391"), ("host", "localhost:7391")]).is_err());
        let target = "http://evil.example:7391/rpc/a/b";
        assert!(judge("POST", target, &[("host", "localhost:7391")]).is_err(), "absolute target");
    }

    #[test]
    fn only_no_origin_the_own_and_listed_ones_pass() {
        let with = |origin| judge("POST", "/rpc/a/b", &[("host", "localhost:7391"), ("origin", origin)]);
        for origin in ["http://localhost:7391", "http://127.0.0.1:7391", "http://[::1]:7391", "https://desk:7391"] {
            assert_eq!(with(origin), Ok(None), "{origin}");
        }
        for origin in ["https://perry.example.com", "null"] {
            assert_eq!(with(origin), Ok(Some(origin.to_owned())), "{origin}");
        }
        for origin in [
            "",
            "http://localhost",
            "http://localhost:3000",
            "https://evil.example",
            "https://perry.example.com.evil.example",
            "https://perry.example.com:444",
            "http://perry.example.com",
            "https://perry.example.com/",
            "file://",
        ] {
            let refused = with(origin).expect_err(origin);
            assert!(refused.starts_with("Origin "), "{origin}: {refused}");
        }
    }

    #[test]
    fn a_browser_that_says_it_was_sent_by_another_site_is_refused_at_procedures_only() {
        let with = |path: &str, site| judge("GET", path, &[("host", "localhost:7391"), ("sec-fetch-site", site)]);
        assert_eq!(with("/rpc/workspaces/list", "same-origin"), Ok(None));
        assert_eq!(with("/rpc/workspaces/list", "none"), Ok(None));
        assert!(with("/rpc/workspaces/list", "cross-site").is_err());
        assert!(with("/rpc/workspaces/list", "same-site").is_err(), "another port of localhost is the same site");
        assert_eq!(with("/", "cross-site"), Ok(None));
    }

    #[test]
    fn a_request_for_another_agent_is_refused_and_one_for_nobody_in_particular_passes() {
        let with = |names: &[&str]| {
            let headers = [("host", "localhost:7391")].into_iter();
            let headers: Vec<_> = headers.chain(names.iter().map(|name| ("perry-agent", *name))).collect();
            judge("POST", "/rpc/a/b", &headers)
        };
        assert_eq!(with(&[]), Ok(None));
        assert_eq!(with(&["agent-a"]), Ok(None));
        for other in ["agent-b", "agent-", "agent-aa", "AGENT-A", ""] {
            assert_eq!(with(&[other]), Err(ApiError::Misdirected.to_string()), "{other}");
        }
        assert!(with(&["agent-a", "agent-b"]).is_err(), "two of them");
    }

    #[test]
    fn a_preflight_is_answered_for_listed_origins_only() {
        let ask = |origin| {
            let headers = [("host", "localhost:7391"), ("origin", origin), ("access-control-request-method", "POST")];
            judge("OPTIONS", "/rpc/a/b", &headers)
        };
        assert_eq!(ask("https://perry.example.com"), Err("204 No Content".to_owned()));
        assert!(ask("https://evil.example").expect_err("refused").starts_with("Origin "));
    }

    #[test]
    fn what_is_no_origin_cannot_be_allowed() {
        for text in
            ["*", "null", "", "https://", "perry.example.com", "https://a/b", "https://*.example.com", "https://u@h"]
        {
            assert!(Guard::new("a", "desk", &[], &[text.to_owned()]).is_err(), "{text}");
        }
        for text in ["https://a.example", "http://localhost:3000", "capacitor://localhost", "http://[::1]:3000"] {
            assert!(Guard::new("a", "desk", &[], &[text.to_owned()]).is_ok(), "{text}");
        }
    }
}
