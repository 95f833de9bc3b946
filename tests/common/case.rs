//! One case for the planner: intent, what is seen, and what else it knows. Its fields are there to be changed.

use std::collections::{BTreeMap, BTreeSet};

use perry::model::desired::Owner;
use perry::model::observed::{
    ContainerSeen, ContainerState, EngineSeen, FilesSeen, Isolation, Prepared, Service, SourcesSeen, VolumeSeen,
    WorkerSeen,
};
use perry::model::workspace::Adopted;
use perry::model::{Desired, Observed, Plan, Reason, Run, Seen, Verdict, Workspace};
use perry::plan::{Context, plan};

use super::fixture;

/// The id of the container that a case begins with.
pub(crate) const ID: &str = "c1";
/// The id of the network `perry`.
pub(crate) const NETWORK: &str = "n1";

#[derive(Debug, Clone)]
pub(crate) struct Case {
    pub(crate) workspace: Workspace,
    pub(crate) observed: Observed,
    pub(crate) context: Context,
}

impl Case {
    /// An engine with nothing on it.
    pub(crate) fn absent() -> Self {
        let workspace = fixture::workspace("w");
        let observed = Observed {
            engine: Seen::Present(EngineSeen {
                version: "27".to_owned(),
                api_version: "1.45".to_owned(),
                runtimes: Vec::new(),
            }),
            image: Seen::Absent,
            network: Seen::Absent,
            containers: Seen::Present(Vec::new()),
            volumes: volumes(&fixture::desired_of(&workspace), |_| Seen::Absent),
            volumes_complete: true,
            worker: Seen::Absent,
            sources: SourcesSeen::default(),
            ports_taken: BTreeSet::new(),
        };
        Self { workspace, observed, context: fixture::context() }
    }

    /// Image, network and volumes are there; no container.
    pub(crate) fn grounded() -> Self {
        let mut case = Self::absent();
        case.observed.image = Seen::Present("i1".to_owned());
        case.observed.network = Seen::Present(NETWORK.to_owned());
        let desired = case.desired();
        case.observed.volumes = volumes(&desired, |owner| Seen::Present(volume(Some(owner.clone()))));
        case
    }

    /// Everything as it should be, and everything answers.
    pub(crate) fn converged() -> Self {
        let mut case = Self::grounded();
        let container = container(&case.desired(), ID);
        case.observed.containers = Seen::Present(vec![container]);
        case.observed.worker = Seen::Present(worker(&case.desired()));
        case
    }

    /// As it should be but for its container, which is in this state.
    pub(crate) fn container_is(state: ContainerState) -> Self {
        let mut case = Self::converged();
        case.container().state = state;
        case.observed.worker = Seen::Absent;
        case
    }

    /// Exited with code 137 and nothing else amiss.
    pub(crate) fn exited() -> Self {
        Self::container_is(exited(137))
    }

    /// Adopted: a running container and two volumes without labels.
    pub(crate) fn adopted() -> Self {
        let mut case = Self::absent();
        let volumes = BTreeMap::from([
            ("home".to_owned(), "old-home".to_owned()),
            ("docker".to_owned(), "old-docker".to_owned()),
        ]);
        case.workspace.metadata.adopted =
            Some(Adopted { container: Some(ID.to_owned()), volumes, pending: false, replace: false });
        let desired = case.desired();
        case.observed.volumes = self::volumes(&desired, |_| Seen::Present(volume(None)));
        let seen = ContainerSeen {
            name: "some-other-name".to_owned(),
            owner: None,
            fingerprint: None,
            prepared: None,
            network: None,
            ..container(&desired, ID)
        };
        case.observed.containers = Seen::Present(vec![seen]);
        case
    }

    /// Its deletion was asked for.
    #[must_use]
    pub(crate) fn deleted(mut self) -> Self {
        self.workspace.metadata.deletion_timestamp = Some(fixture::at(2_000));
        self
    }

    /// It is to be down.
    #[must_use]
    pub(crate) fn down(mut self) -> Self {
        self.workspace.spec.run = Some(Run::Stopped);
        self
    }

    /// The same with one thing changed.
    #[must_use]
    pub(crate) fn but(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    pub(crate) fn desired(&self) -> Desired {
        fixture::desired_of(&self.workspace)
    }

    pub(crate) fn owner(&self) -> Owner {
        self.desired().owner
    }

    pub(crate) fn containers(&mut self) -> &mut Vec<ContainerSeen> {
        match &mut self.observed.containers {
            Seen::Present(containers) => containers,
            other => panic!("no containers to change: {other:?}"),
        }
    }

    /// The first container.
    pub(crate) fn container(&mut self) -> &mut ContainerSeen {
        self.containers().first_mut().expect("a container")
    }

    pub(crate) fn worker(&mut self) -> &mut WorkerSeen {
        match &mut self.observed.worker {
            Seen::Present(worker) => worker,
            other => panic!("no worker to change: {other:?}"),
        }
    }

    /// One more container, otherwise like a converged one.
    #[must_use]
    pub(crate) fn beside(self, id: &str, change: impl FnOnce(&mut ContainerSeen)) -> Self {
        self.but(|case| {
            let mut other = container(&case.desired(), id);
            change(&mut other);
            case.containers().push(other);
        })
    }

    pub(crate) fn plan(&self) -> Plan {
        plan(&self.desired(), &self.observed, &self.context)
    }

    /// The actions as people read them; the verdict must fit.
    pub(crate) fn steps(&self) -> Vec<String> {
        let plan = self.plan();
        assert_eq!(plan.verdict == Verdict::Act, !plan.actions.is_empty(), "{plan:?}");
        assert!(!plan.actions.is_empty(), "nothing to do: {:?}", plan.verdict);
        plan.actions.iter().map(ToString::to_string).collect()
    }

    /// The conclusion where there is nothing to do.
    pub(crate) fn verdict(&self) -> Verdict {
        let plan = self.plan();
        assert!(plan.actions.is_empty(), "{:?}", plan.actions);
        plan.verdict
    }

    /// Why it is blocked.
    pub(crate) fn blocked(&self) -> Reason {
        match self.verdict() {
            Verdict::Blocked(reason) => reason,
            other => panic!("not blocked: {other:?}"),
        }
    }

    /// The one word for what it waits for.
    pub(crate) fn waits_for(&self) -> String {
        match self.verdict() {
            Verdict::Waiting(reason) => reason.reason.into_owned(),
            other => panic!("does not wait: {other:?}"),
        }
    }

    /// What it does not know.
    pub(crate) fn not_known(&self) -> String {
        match self.verdict() {
            Verdict::Unknown(reason) => reason.message,
            other => panic!("knows enough: {other:?}"),
        }
    }
}

/// A running container as `desired` wants it.
pub(crate) fn container(desired: &Desired, id: &str) -> ContainerSeen {
    ContainerSeen {
        id: id.to_owned(),
        name: desired.container.name.clone(),
        owner: Some(desired.owner.clone()),
        fingerprint: Some(desired.container.fingerprint.clone()),
        state: ContainerState::Running,
        started_at: Some(fixture::at(1_500)),
        prepared: Some(Prepared {
            worker: fixture::EXECUTABLE.to_owned(),
            config: desired.worker.hash.clone(),
            restarted_at: desired.restarted_at,
        }),
        network: Some(NETWORK.to_owned()),
        isolation: Isolation::Privileged,
        limits: desired.container.limits,
    }
}

/// A worker as `desired` wants it.
pub(crate) fn worker(desired: &Desired) -> WorkerSeen {
    WorkerSeen {
        version: "1".to_owned(),
        executable: fixture::EXECUTABLE.to_owned(),
        config: desired.worker.hash.clone(),
        ssh: Service::Running,
        docker: if desired.container.docker { Service::Running } else { Service::Off },
        tasks: Vec::new(),
        files: FilesSeen::default(),
        pressure: None,
    }
}

pub(crate) fn volume(owner: Option<Owner>) -> VolumeSeen {
    VolumeSeen { owner, created_at: "2026-01-01T00:00:00Z".to_owned() }
}

pub(crate) fn exited(code: i64) -> ContainerState {
    ContainerState::Exited { code, oom: false, error: String::new() }
}

pub(crate) fn unknown<T>() -> Seen<T> {
    Seen::Unknown("no answer".to_owned())
}

fn volumes(desired: &Desired, see: impl Fn(&Owner) -> Seen<VolumeSeen>) -> BTreeMap<String, Seen<VolumeSeen>> {
    desired.volumes.iter().map(|volume| (volume.name.clone(), see(&desired.owner))).collect()
}
