//! Logs of a workspace, of one source or of all.

use futures::{StreamExt as _, stream};

use super::Api;
use crate::contract::logs::{TAIL, TAIL_MAX};
use crate::contract::{ApiError, Events, Item, LogLine, LogSource, LogsInput};
use crate::model::Name;
use crate::runtime::{LogLines, LogsWanted, RuntimeError};

impl Api {
    pub(super) async fn logs(&self, input: LogsInput) -> Result<Events<LogLine>, ApiError> {
        let LogsInput { name, source, tail, follow } = input;
        let tail = tail.unwrap_or(TAIL);
        if tail > TAIL_MAX {
            return Err(ApiError::bad_request("tail", format!("is at most {TAIL_MAX} lines")));
        }
        let uid = self.intent(&name)?.metadata.uid.clone();
        let sources = source.map_or_else(|| LogSource::ALL.to_vec(), |source| vec![source]);
        let mut all: Vec<LogLines> = Vec::new();
        for source in sources {
            let wanted = LogsWanted { source, tail, follow };
            let lines = self.parts.attach.logs(&uid, wanted).await;
            all.push(lines.map_err(|error| failed(&name, error))?);
        }
        // What there is comes source by source; what follows comes as it happens.
        let lines = if follow { stream::select_all(all).boxed() } else { stream::iter(all).flatten().boxed() };
        let item = move |line: Result<LogLine, RuntimeError>| match line {
            Ok(value) => Ok(Item { id: None, value }),
            Err(error) => Err(failed(&name, error)),
        };
        Ok(lines.map(item).boxed())
    }
}

fn failed(name: &Name, error: RuntimeError) -> ApiError {
    match error {
        RuntimeError::Changed(_) => ApiError::PreconditionFailed {
            name: name.clone(),
            message: format!("workspace {name} has no container yet, and so no log: perry why {name}"),
        },
        other => ApiError::Unavailable(format!("workspace {name}: {other}")),
    }
}
