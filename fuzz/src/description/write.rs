//! What was read, written again: whole, and field by field.

use kmod_core::wire::{Body, BodyWriter, Extent, Kind, Measure, Object, Root, Sink, Slice, WireError, crc::crc32c};

use super::{SHIFT, read, root_of};

/// Writes into a buffer of just the length that was measured.
fn exactly(write: impl Fn(&mut dyn Sink) -> Result<(), WireError>) -> Vec<u8> {
    let mut measure = Measure::default();
    write(&mut measure).expect("what was read can be measured");
    let mut body = vec![0xee; measure.length()];
    let mut slice = Slice::new(&mut body, 0);
    write(&mut slice).expect("what was read can be written");
    assert_eq!(slice.position(), measure.length(), "measured exactly");
    body
}

/// Objects as they were read, what this code does not know included.
pub(super) fn again(objects: &[Object<'_>]) -> Vec<u8> {
    exactly(|sink| {
        let mut writer = BodyWriter::new(sink, SHIFT, crc32c);
        objects.iter().try_for_each(|object| writer.again(object))?;
        writer.finish()
    })
}

/// What a reader accepts, a writer could have written.
pub(super) fn by_fields(object: &Object<'_>) {
    let body = exactly(|sink| {
        let mut writer = BodyWriter::new(sink, SHIFT, crc32c);
        fields(&mut writer, object)?;
        writer.finish()
    });
    let root = root_of(&body);
    let parsed = Root::parse(&root, SHIFT, crc32c).expect("a root of our own");
    let written: Vec<Object<'_>> = Body::parse(&body, &parsed, crc32c).expect("written by us").objects().collect();
    // What only the object's own writer knew is gone, and with it what it was refused for.
    let known = object.refused().is_none_or(|kind| object.kind == Kind::Unknown(kind));
    assert!(written.len() == 1 && (!known || read::same(object, &written[0])));
}

fn fields(writer: &mut BodyWriter<'_>, object: &Object<'_>) -> Result<(), WireError> {
    match object.kind {
        Kind::Session(session) => writer.session(&session)?,
        Kind::File(file) => writer.file(&file)?,
        Kind::Subsystem(subsystem) => writer.subsystem(&subsystem)?,
        Kind::Unknown(kind) => writer.unknown(kind, object.refused() == Some(kind), b"")?,
    }
    if let Some(pages) = object.pages() {
        let extents: Vec<Extent> = pages.extents().collect();
        // Both ways to write them.
        if extents.len().is_multiple_of(2) {
            writer.all_pages(pages.size, &extents)?;
        } else {
            writer.pages(pages.size, extents.len())?;
            extents.iter().try_for_each(|extent| writer.extent(extent))?;
        }
    }
    object.inode().iter().try_for_each(|it| writer.inode(it))?;
    object.memfd().iter().try_for_each(|it| writer.memfd(it))?;
    object.eventfd().iter().try_for_each(|it| writer.eventfd(it))?;
    object.instance().iter().try_for_each(|it| writer.instance(it))
}
