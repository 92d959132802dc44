// SPDX-License-Identifier: GPL-2.0

//! Puts the objects of a description where they are looked for.

use super::{Incoming, Inherited, Instance};
use crate::{
    name::Name,
    orchestrator::{Domain, Face, Key},
    wire::{self, Body, Kind},
};
use kernel::prelude::*;

impl Incoming {
    /// Puts each object where it is looked for.
    pub(super) fn sort(&mut self, body: Body<'static>) -> Result {
        for object in body.objects() {
            if let Kind::Session(session) = object.kind {
                self.sort_session(&object, session)?;
            }
        }
        for object in body.objects() {
            match object.kind {
                Kind::Session(_) => {}
                Kind::File(file) => self.sort_file(object, file)?,
                Kind::Subsystem(subsystem) => {
                    let name = Name::new(subsystem.name);
                    match name.filter(|_| object.refused().is_none()) {
                        Some(name) => {
                            self.subsystems.try_create_and_insert(
                                name,
                                subsystem.data,
                                GFP_KERNEL,
                            )?;
                        }
                        None => self.odd(object, "a subsystem that it does not understand")?,
                    }
                }
                Kind::Unknown(_) => self.odd(object, "an object of an unknown kind")?,
            }
        }
        Ok(())
    }

    fn sort_session(
        &mut self,
        object: &wire::Object<'static>,
        session: wire::Session<'_>,
    ) -> Result {
        let face = match session.face {
            wire::Face::Device => None,
            wire::Face::SessionFile => Some(Face::Session),
            wire::Face::Instance => Some(Face::Instance),
        };
        let (Some(face), Some(name)) = (face, Name::new(session.name)) else {
            pr_warn!("a session without a usable name: what it had can only be freed\n");
            return Ok(());
        };
        let instance = object.instance();
        let mistaken = face == Face::Instance && instance.is_none();
        if object.refused().is_some() || mistaken {
            pr_warn!(
                "session {}: left in a way unknown here, it can only be freed\n",
                name.as_str()
            );
            return Ok(());
        }
        let key = Key {
            face,
            owner: session.owner,
            name,
        };
        self.sessions
            .try_create_and_insert(session.id, key, GFP_KERNEL)?;
        if let (Face::Instance, Some(params)) = (face, instance) {
            let new = Instance {
                params,
                files: KVVec::new(),
                half: None,
                given: false,
            };
            self.instances
                .try_create_and_insert(session.id, new, GFP_KERNEL)?;
        }
        Ok(())
    }

    fn sort_file(&mut self, object: wire::Object<'static>, file: wire::File<'_>) -> Result {
        let inherited = Inherited::new(object);
        if let Some(instance) = self.instances.get_mut(&file.session) {
            if file.token == 0 {
                return Ok(instance.files.push(inherited, GFP_KERNEL)?);
            }
        }
        let domain = match file.session {
            0 => Domain::Device,
            id if self.sessions.get(&id).is_some() => Domain::Named(id),
            _ => return self.odd(object, "a file of no session"),
        };
        if file.token == 0 || self.files.get(&file.token).is_some() {
            return self.odd(object, "a file without a token of its own");
        }
        self.files
            .try_create_and_insert(file.token, (domain, inherited), GFP_KERNEL)?;
        Ok(())
    }

    /// Cannot be restored here, but its pages can be released.
    fn odd(&mut self, object: wire::Object<'static>, what: &str) -> Result {
        pr_warn!("the previous kernel left {}: it can only be freed\n", what);
        Ok(self.strange.push(Inherited::new(object), GFP_KERNEL)?)
    }
}
