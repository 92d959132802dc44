// SPDX-License-Identifier: GPL-2.0

//! What the previous kernel handed to this one.

mod object;

use crate::{
    folio::PAGE_SHIFT,
    kho::{is_there, InBlob, Mapped},
    name::Name,
    orchestrator::{Domain, Face, Key},
    outgoing::crc32c,
    participant::instance::Handle,
    sys,
    wire::{self, Body, BodyWriter, Kind, Phase, Root, WireError},
};
use kernel::{error::to_result, prelude::*, rbtree::RBTree};

pub(crate) use object::Inherited;

/// What a FINISH gave back.
#[derive(Clone, Copy, Default)]
pub(crate) struct Freed {
    /// Files.
    pub(crate) files: u64,
    /// Pages.
    pub(crate) pages: u64,
}

/// An instance of the previous kernel's: its files, and how far they are restored.
pub(crate) struct Instance {
    /// How it was mounted.
    pub(crate) params: wire::Instance,
    files: KVVec<Inherited>,
    /// What an attempt that failed has restored so far. The next one goes on with it.
    half: Option<Handle>,
    /// It was mounted: from then on it is its user's.
    given: bool,
}

/// Everything from the previous kernel. What nobody restores stays reserved until
/// [`Incoming::finish`]; merely dropping this leaves it so until the next kexec.
pub(crate) struct Incoming {
    // Before `body`, into which they point.
    /// Files with tokens, and whose they are.
    files: RBTree<u64, (Domain, Inherited)>,
    instances: RBTree<u64, Instance>,
    sessions: RBTree<u64, Key>,
    subsystems: RBTree<Name, u64>,
    /// What this module cannot restore but may release.
    strange: KVVec<Inherited>,
    objects: Body<'static>,
    body: Mapped,
    // After `body`, which shows them.
    pieces: KVVec<wire::Piece>,
    root: InBlob,
    /// The generation of the kernel that left it.
    pub(crate) generation: u64,
}

impl Incoming {
    /// Looks for a description and checks it. One that cannot be used is reported, and released
    /// as far as that is safe; only a lack of memory is an error.
    pub(crate) fn find() -> Result<Option<Self>> {
        let root = match InBlob::find() {
            Ok(Some(root)) => root,
            Ok(None) => return Ok(None),
            Err(err) => {
                pr_err!("what the previous kernel left cannot be found: {:?}\n", err);
                return Ok(None);
            }
        };
        let parsed = match Root::parse(root.bytes(), PAGE_SHIFT, crc32c) {
            Ok(parsed) => parsed,
            Err(WireError::Version(version)) => {
                // Nothing is released: a module that knows it may be loaded instead.
                pr_err!(
                    "the previous kernel left version {}, unknown here: ignored\n",
                    version
                );
                return Ok(None);
            }
            Err(err) => {
                // The address of the body cannot be believed, so that only the root is freed.
                Self::damaged(err);
                root.release();
                return Ok(None);
            }
        };
        let (phase, generation) = (parsed.phase, parsed.generation);
        let mut pieces = KVVec::new();
        for piece in parsed.pieces() {
            pieces.push(piece, GFP_KERNEL)?;
        }
        if !pieces.iter().all(|piece| is_there(*piece)) {
            Self::damaged(WireError::Truncated);
            root.release();
            return Ok(None);
        }
        // SAFETY: All are there, reserved, and nobody knows of them but this.
        let body = unsafe { Mapped::new(&pieces) }?;
        // SAFETY: The bytes stay where they are and do not change until `finish` releases them,
        // which it does after the last use of what was parsed, where alone the borrow is kept.
        let bytes: &'static [u8] = unsafe { &*core::ptr::from_ref(body.bytes()) };
        let objects = match Body::parse(bytes, &parsed, crc32c) {
            Ok(objects) => objects,
            Err(err) => {
                Self::damaged(err);
                drop(body);
                release_pieces(&pieces);
                root.release();
                return Ok(None);
            }
        };

        let mut this = Self {
            files: RBTree::new(),
            instances: RBTree::new(),
            sessions: RBTree::new(),
            subsystems: RBTree::new(),
            strange: KVVec::new(),
            objects,
            body,
            pieces,
            root,
            generation,
        };
        this.sort(objects)?;
        if phase != Phase::Frozen {
            pr_err!("the previous kernel was not frozen: what it left is dropped\n");
            this.finish();
            return Ok(None);
        }
        Ok(Some(this))
    }

    fn damaged(err: WireError) {
        pr_err!(
            "what the previous kernel left is damaged ({}): ignored, its objects stay reserved \
             until the next kexec\n",
            err.name()
        );
    }

    /// Puts each object where it is looked for.
    fn sort(&mut self, body: Body<'static>) -> Result {
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
                            self.subsystems
                                .try_create_and_insert(name, subsystem.data, GFP_KERNEL)?;
                        }
                        None => self.odd(object, "a subsystem that it does not understand")?,
                    }
                }
                Kind::Unknown(_) => self.odd(object, "an object of an unknown kind")?,
            }
        }
        Ok(())
    }

    fn sort_session(&mut self, object: &wire::Object<'static>, session: wire::Session<'_>) -> Result {
        let face = match session.face {
            wire::Face::Device => None,
            wire::Face::SessionFile => Some(Face::Session),
            wire::Face::Instance => Some(Face::Instance),
        };
        let (Some(face), Some(name)) = (face, Name::new(session.name)) else {
            pr_warn!("a session without a usable name: what it had can only be freed\n");
            return Ok(());
        };
        if object.refused().is_some() {
            pr_warn!("session {}: left in a way unknown here, it can only be freed\n", name.as_str());
            return Ok(());
        }
        let key = Key {
            face,
            owner: session.owner,
            name,
        };
        self.sessions
            .try_create_and_insert(session.id, key, GFP_KERNEL)?;
        if face == Face::Instance {
            let new = Instance {
                params: object.instance().ok_or(EINVAL)?,
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

    /// The sessions, for the core's books.
    pub(crate) fn sessions(&self) -> impl Iterator<Item = (u64, Key)> + '_ {
        self.sessions.iter().map(|(id, key)| (*id, *key))
    }

    /// How many files there are, and how many of them are not restored.
    pub(crate) fn count(&self) -> (u64, u64) {
        let (mut all, mut open) = (0u64, 0u64);
        self.each(|inherited, given| {
            all = all.saturating_add(1);
            open = open.saturating_add(u64::from(!given && inherited.is_waiting()));
        });
        (all, open)
    }

    /// Every file, and whether it went out with its instance.
    fn each(&self, mut visit: impl FnMut(&Inherited, bool)) {
        for (_, inherited) in self.files.values() {
            visit(inherited, false);
        }
        for instance in self.instances.values() {
            for inherited in &instance.files {
                visit(inherited, instance.given);
            }
        }
        for inherited in &self.strange {
            visit(inherited, false);
        }
    }

    /// Whether the previous kernel used this token.
    pub(crate) fn knows(&self, token: u64) -> bool {
        self.files.get(&token).is_some()
    }

    /// The file of this token, if it is this domain's.
    pub(crate) fn file(&mut self, domain: Domain, token: u64) -> Result<&mut Inherited> {
        match self.files.get_mut(&token) {
            Some((of, inherited)) if *of == domain => Ok(inherited),
            _ => Err(ENOENT),
        }
    }

    /// An instance of the previous kernel's.
    pub(crate) fn instance(&mut self, id: u64) -> Option<&mut Instance> {
        self.instances.get_mut(&id)
    }

    /// What the subsystem of this name left.
    pub(crate) fn subsystem(&self, name: Name) -> Option<u64> {
        self.subsystems.get(&name).copied()
    }

    /// Frees what was not restored, and the description.
    pub(crate) fn finish(self) -> Freed {
        let mut freed = Freed::default();
        let Self {
            files,
            instances,
            strange,
            body,
            pieces,
            root,
            ..
        } = self;
        for (_, inherited) in drain(files) {
            inherited.1.free(&mut freed);
        }
        for (_, instance) in drain(instances) {
            instance.free(&mut freed);
        }
        for inherited in strange {
            inherited.free(&mut freed);
        }
        drop(body);
        release_pieces(&pieces);
        root.release();
        freed
    }

    /// Writes what nobody has asked for as the previous kernel wrote it.
    pub(crate) fn write_unclaimed(&self, writer: &mut BodyWriter<'_>) -> Result<(), WireError> {
        self.objects.objects().try_for_each(|object| {
            if self.is_unclaimed(&object) {
                writer.again(&object)?;
            }
            Ok(())
        })
    }

    fn is_unclaimed(&self, object: &wire::Object<'_>) -> bool {
        let Kind::File(file) = object.kind else {
            return true;
        };
        match (file.token, self.instances.get(&file.session)) {
            (0, Some(instance)) => !instance.given,
            _ => self
                .files
                .get(&file.token)
                .is_none_or(|(_, inherited)| inherited.is_waiting()),
        }
    }

    /// Preserves once more what nobody has asked for. Nothing is undone on failure: the machine
    /// is going down, and what is not described is not handed over.
    pub(crate) fn preserve_unclaimed(&self) -> Result {
        let mut result = Ok(());
        self.each(|inherited, given| {
            if !given && inherited.is_waiting() && result.is_ok() {
                result = inherited.pass_on();
            }
        });
        result
    }
}

impl Instance {
    /// Whether it has not been mounted yet.
    pub(crate) fn is_waiting(&self) -> bool {
        !self.given
    }

    /// The half restored one that an earlier attempt left.
    pub(crate) fn half(&self) -> Option<Handle> {
        self.half
    }

    /// Restores its files into the mounted instance. On failure what has been done is kept with
    /// that, for the next attempt.
    pub(crate) fn fill(&mut self, handle: Handle) -> Result {
        if self.given {
            return Ok(());
        }
        if self.half != Some(handle) {
            adopt(handle, &self.params)?;
        }
        let result = self
            .files
            .iter_mut()
            .try_for_each(|inherited| inherited.restore_into(handle));
        match (result, self.half) {
            (Ok(()), half) => {
                self.given = true;
                self.half = None;
                if let Some(half) = half {
                    half.put();
                }
                Ok(())
            }
            (Err(err), Some(_)) => Err(err),
            (Err(err), None) => {
                handle.get();
                self.half = Some(handle);
                Err(err)
            }
        }
    }

    fn free(self, freed: &mut Freed) {
        if self.given {
            return;
        }
        for inherited in self.files {
            inherited.free(freed);
        }
        if let Some(half) = self.half {
            half.put();
        }
    }
}

/// Makes a mounted instance what it was, but for what its mount's options say otherwise.
fn adopt(handle: Handle, params: &wire::Instance) -> Result {
    let params = sys::lu_params {
        limit: params.limit,
        huge: params.huge,
        mode: params.mode,
        uid: params.uid,
        gid: params.gid,
        ..Default::default()
    };
    // SAFETY: The instance is live, and the parameters readable.
    to_result(unsafe { sys::lu_instance_adopt(handle.as_ptr(), &params) })
}

/// The body's own memory, when nothing points into it any more.
fn release_pieces(pieces: &[wire::Piece]) {
    for piece in pieces {
        // Dropping the folio frees it.
        _ = crate::kho::take(piece.pfn, piece.order);
    }
}

fn drain<K: Ord + Copy, V>(mut tree: RBTree<K, V>) -> impl Iterator<Item = (K, V)> {
    core::iter::from_fn(move || {
        let key = *tree.keys().next()?;
        tree.remove(&key).map(|value| (key, value))
    })
}
