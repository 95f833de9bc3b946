//! The switches that break one fencing rule each, so that the checks are seen to find something. They stand around the
//! controller, not inside it: production code has no way to turn a fence off.

use perry::model::observed::Seen;
use perry::model::{Desired, Observed};

/// Which fencing rule is broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ablation {
    /// None.
    None,
    /// What nobody could look at counts as absent.
    UnknownIsAbsent,
    /// Actions take the names of what they saw instead of its ids.
    NamesNotIds,
    /// A pass goes on with the intent that it began with.
    NoRecheck,
    /// A deletion is finished although a call may still take effect.
    NoDoubt,
    /// A name that vanishes from state.json is torn down.
    AbsenceDeletes,
    /// An existing volume with another uid is taken for one's own.
    TakesForeignVolumes,
}

impl Ablation {
    /// What the controller is shown of what was seen.
    pub fn look(self, desired: &Desired, mut seen: Observed) -> Observed {
        match self {
            Self::UnknownIsAbsent => {
                for what in [&mut seen.image, &mut seen.network].into_iter().filter(|what| what.is_unknown()) {
                    *what = Seen::Absent;
                }
                if seen.containers.is_unknown() {
                    seen.containers = Seen::Absent;
                }
                seen.volumes
                    .values_mut()
                    .filter(|volume| volume.is_unknown())
                    .for_each(|volume| *volume = Seen::Absent);
                seen.volumes_complete = true;
            }
            Self::TakesForeignVolumes => {
                let mine = Some(desired.owner.clone());
                for volume in seen.volumes.values_mut() {
                    if let Seen::Present(volume) = volume {
                        volume.owner.clone_from(&mine);
                    }
                }
            }
            Self::None | Self::NamesNotIds | Self::NoRecheck | Self::NoDoubt | Self::AbsenceDeletes => {}
        }
        seen
    }
}
