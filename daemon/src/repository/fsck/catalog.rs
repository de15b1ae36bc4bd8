//! What the catalog says of itself, as faults; and counting anew. Called by the check, first of all.

use imgrepo_proto::Refusal;
use imgrepo_proto::control::maintenance::{Fault, FaultKind};

use super::words::{self, Mended, mendable};
use super::{Run, faults, step};
use crate::repository::catalog::CatalogResult;
use crate::repository::catalog::inspection::{Inspection, WrongCount};

impl Run<'_> {
    /// Looks at the catalog; the bytes that contents have by it.
    pub(super) fn catalog(&mut self) -> Result<u64, Refusal> {
        self.told.step(|| step("looking at the catalog", 0, 1, false))?;
        let thoroughly = self.wanted.read_data;
        let found = self.inspect(thoroughly)?;
        let Inspection { images, bytes, changes, damage, .. } = &found;
        let bytes = *bytes;
        (self.checked.images, self.checked.changes) = (*images, *changes);
        for damage in damage {
            let message = format!("the catalog's file is damaged: {damage}");
            let fault = words::fault(FaultKind::Catalog, message);
            let remedy = "bring it back from a backup: nothing here can tell what it was";
            self.fault(Fault { remedy: Some(remedy.to_owned()), ..fault })?;
        }
        for (first, last) in &found.gaps {
            let message = match first == last {
                true => format!("the history lacks change {first}"),
                false => format!("the history lacks the changes {first} to {last}"),
            };
            let fault = words::fault(FaultKind::Gap, message);
            let remedy = "what happened is not known any more, and nothing is invented; the images \
                          are as the catalog has them";
            self.fault(Fault { remedy: Some(remedy.to_owned()), ..fault })?;
        }
        self.counts(&found.counts)?;
        for contradiction in &found.contradictions {
            let message = format!("the catalog contradicts itself: {contradiction}");
            let fault = words::fault(FaultKind::Inconsistent, message);
            let remedy = "bring it back from a backup: nothing here can tell which part is right";
            self.fault(Fault { remedy: Some(remedy.to_owned()), ..fault })?;
        }
        Ok(bytes)
    }

    fn inspect(&self, thoroughly: bool) -> Result<Inspection, Refusal> {
        self.inner.catalog.inspect(thoroughly).map_err(|error| faults::catalog(&error))
    }

    /// Counts, put right together.
    fn counts(&mut self, counts: &[WrongCount]) -> Result<(), Refusal> {
        if counts.is_empty() {
            return Ok(());
        }
        let recounted: Option<CatalogResult<Inspection>> = self.wanted.repair.then(|| {
            self.inner.catalog.recount()?;
            self.inner.catalog.inspect(false)
        });
        let mended = |is_left: &dyn Fn(&Inspection) -> bool| match &recounted {
            None => Mended::NotTried,
            Some(Ok(now)) if is_left(now) => Mended::Failed("it is so again".to_owned()),
            Some(Ok(_)) => Mended::Done("it was counted anew"),
            Some(Err(error)) => Mended::Failed(error.to_string()),
        };
        for count in counts {
            let WrongCount { what, kept, counted } = count;
            let fault = words::fault(
                FaultKind::WrongCount,
                format!("the count `{what}` is {kept}, and there are {counted}"),
            );
            let is_left = |now: &Inspection| now.counts.iter().any(|count| count.what == *what);
            self.fault(mendable(fault, mended(&is_left)))?;
        }
        Ok(())
    }
}
