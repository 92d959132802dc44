// SPDX-License-Identifier: GPL-2.0

//! What the previous kernel handed to this one.

mod instance;
mod object;
mod sort;

use crate::{
    folio::PAGE_SHIFT,
    kho::{is_there, InBlob, Mapped},
    name::Name,
    orchestrator::{Domain, Key},
    outgoing::crc32c,
    sys,
    wire::{self, Body, BodyWriter, Kind, Phase, Root, WireError},
};
use kernel::{prelude::*, rbtree::RBTree};

pub(crate) use instance::Instance;
pub(crate) use object::Inherited;

/// What a FINISH gave back.
#[derive(Clone, Copy, Default)]
pub(crate) struct Freed {
    /// Files.
    pub(crate) files: u64,
    /// Pages.
    pub(crate) pages: u64,
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
        let parsed = match read_root(root.bytes()) {
            Ok(parsed) => parsed,
            Err(WireError::Framing(framing)) => {
                // Nothing is released: a module that knows it may be loaded instead.
                pr_err!(
                    "the previous kernel left framing {}, unknown here: ignored\n",
                    framing
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
        if parsed.is_empty() {
            root.release();
            return Ok(None);
        }
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
        // SAFETY: The bytes stay where they are and do not change until they are released, by
        // `finish` or by a refusal below, which both is after the last use of what was parsed,
        // where alone the borrow is kept.
        let bytes: &'static [u8] = unsafe { &*core::ptr::from_ref(body.bytes()) };
        let objects = match Body::parse(bytes, &parsed, crc32c) {
            Ok(objects) => objects,
            Err(WireError::Version(version)) if is_kept() => {
                // As above.
                pr_err!(
                    "the previous kernel left version {}, unknown here: ignored, its pages stay \
                     reserved, unless the module is loaded with unclaimed=drop\n",
                    version
                );
                return Ok(None);
            }
            Err(err) => {
                let mut freed = Freed::default();
                for object in wire::salvage(bytes, &parsed, crc32c) {
                    Inherited::new(object).free(&mut freed);
                }
                pr_err!(
                    "what the previous kernel left is refused ({}), and {} pages of it are freed\n",
                    err.name(),
                    freed.pages
                );
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
            "what the previous kernel left cannot be made out ({}): refused, its pages stay \
             reserved until the next kexec\n",
            err.name()
        );
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
                visit(inherited, instance.given && !inherited.stays_out());
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

    /// What a kexec without FINISH passes on: what nobody has asked for, and the sessions that it belongs to.
    pub(crate) fn unclaimed(&self) -> Result<Unclaimed<'_>> {
        let mut sessions = RBTree::new();
        for object in self.objects.objects() {
            if let Kind::File(file) = object.kind {
                if self.is_waiting(&object, &file) && sessions.get(&file.session).is_none() {
                    sessions.try_create_and_insert(file.session, (), GFP_KERNEL)?;
                }
            }
        }
        Ok(Unclaimed {
            incoming: self,
            sessions,
        })
    }

    fn is_waiting(&self, object: &wire::Object<'static>, file: &wire::File<'_>) -> bool {
        match (file.token, self.instances.get(&file.session)) {
            (0, Some(instance)) => !instance.given || Inherited::new(*object).stays_out(),
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

/// The root in a block of two halves, or its double if it is damaged.
fn read_root(block: &[u8]) -> Result<Root<'_>, WireError> {
    let (first, second) = block.split_at(block.len() / 2);
    let parse = |root| Root::parse(root, PAGE_SHIFT, crc32c);
    parse(first).or_else(|err| {
        let root = parse(second).map_err(|_| err)?;
        pr_warn!(
            "the root of what the previous kernel left is damaged ({}): its double is used\n",
            err.name()
        );
        Ok(root)
    })
}

/// Whether what nobody claims is kept: the parameter `unclaimed`.
pub(crate) fn is_kept() -> bool {
    // SAFETY: No requirements.
    unsafe { sys::lu_keep_unclaimed() }
}

/// What is passed on, as the previous kernel wrote it.
pub(crate) struct Unclaimed<'a> {
    incoming: &'a Incoming,
    /// Those with files that wait.
    sessions: RBTree<u64, ()>,
}

impl Unclaimed<'_> {
    /// Writes it.
    pub(crate) fn write(&self, writer: &mut BodyWriter<'_>) -> Result<(), WireError> {
        self.incoming.objects.objects().try_for_each(|object| {
            let waits = match object.kind {
                Kind::File(file) => self.incoming.is_waiting(&object, &file),
                Kind::Session(session) => self.has(session.id),
                Kind::Subsystem(_) | Kind::Unknown(_) => true,
            };
            if waits {
                writer.again(&object)?;
            }
            Ok(())
        })
    }

    /// Whether a session is not over with: one of its files waits, or it is an instance that was not mounted.
    fn has(&self, session: u64) -> bool {
        let instance = self.incoming.instances.get(&session);
        instance.is_some_and(Instance::is_waiting) || self.sessions.get(&session).is_some()
    }
}

/// The body's own memory, when nothing points into it any more.
fn release_pieces(pieces: &[wire::Piece]) {
    for piece in pieces {
        // Dropping it frees it.
        _ = crate::kho::take(&wire::Extent {
            page: 0,
            pfn: piece.pfn,
            folios: 1,
            order: piece.order,
        });
    }
}

fn drain<K: Ord + Copy, V>(mut tree: RBTree<K, V>) -> impl Iterator<Item = (K, V)> {
    core::iter::from_fn(move || {
        let key = *tree.keys().next()?;
        tree.remove(&key).map(|value| (key, value))
    })
}
