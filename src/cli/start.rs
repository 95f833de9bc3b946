//! `perry start`.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::client::{Goal, Wait};
use crate::contract::{CloneInput, StartInput};
use crate::model::Name;
use crate::model::workspace::PortSpec;

use super::context::Context;
use super::failure::{DONE, Outcome};
use super::{values, waiting};

/// Start a workspace; makes it where there is none of that name
#[derive(Debug, clap::Args)]
pub(super) struct Start {
    /// Which.
    #[arg(value_parser = values::name)]
    name: Name,
    /// A git repository to clone into a new workspace.
    #[arg(long, value_name = "URL")]
    clone: Option<String>,
    /// The image of a new workspace [default: the agent's own].
    #[arg(long)]
    image: Option<String>,
    /// A variable of a new workspace; KEY alone takes the value from here.
    #[arg(short, long, value_name = "KEY[=VALUE]", value_parser = variable)]
    env: Vec<(String, String)>,
    /// A port of a new workspace that is reached from the host, on a port of its own choice or on HOST.
    #[arg(short, long = "port", value_name = "[HOST:]PORT", value_parser = port)]
    port: Vec<PortSpec>,
    /// Do not wait until it is ready.
    #[arg(long)]
    no_wait: bool,
    /// How long to wait at most.
    #[arg(long, default_value = "5m", value_name = "SPAN", value_parser = values::duration)]
    timeout: Duration,
}

impl Start {
    pub(super) async fn run(self, context: &Context) -> Outcome {
        let client = context.client()?;
        let input = StartInput {
            create: true,
            clone: self.clone.map(CloneInput::Url),
            image: self.image,
            env: self.env.into_iter().collect::<BTreeMap<_, _>>(),
            ports: self.port,
            ..StartInput::of(self.name.clone())
        };
        let view = match client.start_workspace(&input).await {
            Ok(view) => view,
            Err(error) => return Err(context.failure(&client, &self.name, error).await),
        };
        context.print(&format!("{} is to run\n", self.name))?;
        if !self.no_wait {
            let waits = vec![(Wait::since(&view, Goal::Ready), Goal::Ready)];
            waiting::for_all(context, &client, waits, self.timeout).await?;
        }
        Ok(DONE)
    }
}

fn variable(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some(("", _)) => Err("a variable needs a name: KEY=VALUE".to_owned()),
        Some((key, value)) => Ok((key.to_owned(), value.to_owned())),
        None => match std::env::var(text) {
            Ok(value) => Ok((text.to_owned(), value)),
            Err(_) => Err(format!("{text} is not set here: write {text}=VALUE")),
        },
    }
}

fn port(text: &str) -> Result<PortSpec, String> {
    let wrong = || format!("{text:?} is no port: write one such as 3000, or 8080:3000 for port 8080 of the host");
    let number = |text: &str| text.parse::<u16>().ok().filter(|port| *port > 0).ok_or_else(wrong);
    let (host_port, port) = match text.split_once(':') {
        Some((host, port)) => (Some(number(host)?), number(port)?),
        None => (None, number(text)?),
    };
    let name = format!("port-{port}").parse().map_err(|_| wrong())?;
    Ok(PortSpec { name, port, host_port, bind: None })
}

#[cfg(test)]
mod tests {
    use super::port;

    #[test]
    fn ports_are_read() {
        let spec = port("3000").expect("a port");
        assert_eq!((spec.name.as_str(), spec.port, spec.host_port), ("port-3000", 3000, None));
        assert_eq!(port("8080:3000").expect("ports").host_port, Some(8080));
        for wrong in ["", "0", "http", "1:2:3", "70000", ":80"] {
            assert!(port(wrong).is_err(), "{wrong}");
        }
    }
}
