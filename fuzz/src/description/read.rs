//! Everything that a reader can ask of an object, and what every reader relies on.

use kmod_core::wire::{Extent, Folio, Kind, MAX_FILE_NAME, MAX_NAME, MAX_ORDER, Object, Pages, Piece};

use super::SHIFT;

/// Physical addresses have 52 bits.
const FRAMES_END: u64 = 1 << 52;
/// Folios looked at one by one, of as many as an attacker likes to claim.
const FOLIOS: usize = 48;

/// Bytes of a piece.
pub(super) fn room(piece: &Piece) -> u64 {
    assert!(piece.order <= MAX_ORDER && piece.pfn.trailing_zeros() >= piece.order);
    assert!(piece.pfn + (1 << piece.order) <= FRAMES_END);
    1 << (piece.order + SHIFT)
}

pub(super) fn object(object: &Object<'_>) {
    let bad = |name: &[u8]| name.contains(&0) || name.contains(&b'/');
    match object.kind {
        Kind::Session(session) => assert!(session.name.len() <= MAX_NAME && !bad(session.name)),
        Kind::File(file) => assert!((1..=MAX_NAME).contains(&file.compatible.len()) && !file.compatible.contains(&0)),
        Kind::Subsystem(it) => assert!((1..=MAX_NAME).contains(&it.name.len()) && !bad(it.name)),
        Kind::Unknown(kind) => assert!((4..16).contains(&kind)),
    }
    if let Some(kind) = object.refused() {
        assert!(kind >= 21 || object.kind == Kind::Unknown(kind), "what is known is not refused");
    }
    if let Some(inode) = object.inode() {
        assert!((1..=MAX_FILE_NAME).contains(&inode.name.len()) && !bad(inode.name));
        assert!(!matches!(inode.name, b"." | b".."));
        assert!([inode.atime_nsec, inode.mtime_nsec, inode.ctime_nsec].iter().all(|part| *part < 1_000_000_000));
    }
    let _ = (object.memfd(), object.eventfd(), object.instance());
    object.pages().iter().for_each(pages);
}

pub(super) fn pages(pages: &Pages<'_>) {
    let (mut free, mut last) = (0, 0);
    for extent in pages.extents() {
        let count = extent.pages().expect("checked");
        let folio = 1 << extent.order;
        assert!(count != 0 && extent.order <= MAX_ORDER);
        assert!(extent.page.is_multiple_of(folio) && extent.pfn.is_multiple_of(folio));
        assert!(extent.page >= free && extent.pfn + count <= FRAMES_END);
        free = extent.page + count;
        last = free - folio + 1;
        parts(extent);
    }
    assert!(pages.size < 1 << 63 && last <= pages.size.div_ceil(1 << SHIFT));
    // From the beginning, from where a restoration stopped, and from where there is nothing.
    let first: Vec<Folio> = pages.folios(0).take(FOLIOS).collect();
    assert!(first.windows(2).all(|two| two[0].page + (1 << two[0].order) <= two[1].page));
    for two in first.windows(2) {
        assert_eq!(pages.folios(two[0].page).next(), Some(two[0]));
        assert_eq!(pages.folios(two[0].page + 1).next(), Some(two[1]));
    }
    assert_eq!(pages.folios(free).next(), None);
    assert_eq!(pages.folios(u64::MAX).next(), None);
}

/// An extent falls apart where one likes, and nothing of it is lost.
fn parts(extent: Extent) {
    for folios in [0, 1, extent.folios / 2, extent.folios, u32::MAX] {
        let rest = extent.skip(folios);
        assert_eq!(rest.folios, extent.folios - folios.min(extent.folios));
        assert_eq!(rest.page - extent.page, rest.pfn - extent.pfn);
        assert_eq!(rest.page - extent.page, u64::from(extent.folios - rest.folios) << extent.order);
        assert_eq!(extent.rest(rest.page), rest);
    }
}

/// Whether two objects say the same.
pub(super) fn same(one: &Object<'_>, other: &Object<'_>) -> bool {
    let extents = |object: &Object<'_>| object.pages().map(|it| (it.size, it.extents().collect::<Vec<_>>()));
    one.kind == other.kind
        && one.refused() == other.refused()
        && one.inode() == other.inode()
        && one.memfd() == other.memfd()
        && one.eventfd() == other.eventfd()
        && one.instance() == other.instance()
        && extents(one) == extents(other)
}
