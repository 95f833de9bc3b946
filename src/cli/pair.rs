//! `perry pair`.

use qrcode::render::unicode::Dense1x2;
use qrcode::{EcLevel, QrCode};
use serde::Serialize;

use crate::contract::PairOffer;
use crate::model::{Name, Secret};

use super::context::Context;
use super::failure::{DONE, Failure, Outcome};
use super::format;
use super::token::Rights;

/// Let a phone or a browser in: a QR code and a link that work once, within five minutes
#[derive(Debug, clap::Args)]
pub(super) struct Pair {
    /// What to call the other device [default: device- and some letters].
    #[arg(long)]
    name: Option<Name>,
    #[command(flatten)]
    rights: Rights,
    /// The address by which the other device reaches this agent, such as desk:7391 [default: the best of its own].
    #[arg(long, value_name = "HOST")]
    address: Option<String>,
    /// As JSON.
    #[arg(long)]
    json: bool,
}

/// What is told of an offer.
#[derive(Debug, Serialize)]
struct Told<'a> {
    link: String,
    #[serde(flatten)]
    offer: &'a PairOffer,
}

impl Pair {
    pub(super) async fn run(self, context: &Context) -> Outcome {
        let Self { name, rights, address, json } = self;
        let name = name.map_or_else(|| unique("device"), Ok)?;
        let offer = context.client()?.offer_pairing(&rights.of(name)).await?;
        let told = address.as_deref().map(with_scheme);
        let base = told.as_ref().or(offer.addresses.first()).ok_or_else(|| {
            Failure::failed("the agent does not know by which address it is reached").hint("say so: --address HOST")
        })?;
        let link = link(base, &offer.code);
        if json {
            context.print(&format::json(&Told { link, offer: &offer })?)?;
            return Ok(DONE);
        }
        if told.is_none() && is_loopback(base) {
            context.note(
                "note: the agent listens on this machine alone; for other devices set bind in config.json, such as \
                 [\"127.0.0.1\", \"192.168.1.5\"], or give the address of a proxy: --address",
            );
        }
        let code = &offer.code.0;
        context.print(&format!(
            "{}\nLink:  {link}\nCode:  {code}\n\nIt works once, until {}. On another machine with perry:\n  \
             perry config agent add {}\n",
            picture(&link, context.is_colored())?,
            offer.expires.strftime("%H:%M:%S UTC"),
            base.split_once("://").map_or(base.as_str(), |(_, host)| host),
        ))?;
        Ok(DONE)
    }
}

/// An address as a browser wants it.
pub(super) fn with_scheme(address: &str) -> String {
    if address.contains("://") { address.to_owned() } else { format!("http://{address}") }
}

/// A name that no token has yet.
pub(super) fn unique(what: &str) -> Result<Name, Failure> {
    let letters = uuid::Uuid::new_v4().simple().to_string();
    let name = format!("{what}-{}", &letters[..8]);
    name.parse().map_err(|error| Failure::failed(format!("{name}: {error}")))
}

/// The link that trades the code. What is behind `#` stays in the browser: it is in no request and no log.
pub(super) fn link(base: &str, code: &Secret) -> String {
    format!("{}/#pair={}", base.trim_end_matches('/'), code.0)
}

/// Dark on light, which all readers take: with colours set; without, as it looks on a dark terminal.
fn picture(link: &str, colored: bool) -> Result<String, Failure> {
    let code = QrCode::with_error_correction_level(link, EcLevel::L);
    let code = code.map_err(|error| Failure::failed(format!("the link has no QR code: {error}")))?;
    let mut picture = code.render::<Dense1x2>();
    if colored {
        let picture = picture.build();
        return Ok(picture.lines().map(|line| format!("\x1b[30;47m{line}\x1b[0m\n")).collect());
    }
    Ok(picture.dark_color(Dense1x2::Light).light_color(Dense1x2::Dark).build() + "\n")
}

fn is_loopback(base: &str) -> bool {
    let host = base.split_once("://").map_or(base, |(_, host)| host);
    host.parse::<std::net::SocketAddr>().is_ok_and(|address| address.ip().is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_link_has_the_code_where_no_server_sees_it() {
        let code = Secret("ABCDE-FGHJK".to_owned());
        assert_eq!(link("http://10.0.0.1:7391/", &code), "http://10.0.0.1:7391/#pair=ABCDE-FGHJK");
        let plain = picture(&link("http://10.0.0.1:7391", &code), false).expect("a picture");
        assert!(plain.lines().count() > 10 && !plain.contains('\x1b'));
        assert!(picture("http://10.0.0.1:7391/", true).expect("a picture").starts_with("\x1b[30;47m"));
    }

    #[test]
    fn loopback_is_known_in_any_form() {
        assert!(is_loopback("http://127.0.0.1:7391") && is_loopback("https://[::1]:7391"));
        assert!(!is_loopback("http://192.168.1.5:7391") && !is_loopback("http://desk:7391"));
    }
}
