"""Roots as the rows of answers."""

from heaphound.address import Address
from heaphound.answers.naming import Naming
from heaphound.diagnose.holding import frame_method, thread_of
from heaphound.results.roots import FrameRef, RootRow
from heaphound.runtime.roots import Root
from heaphound.session import Session


def root_row(session: Session, naming: Naming, root: Root) -> RootRow:
    """One root as a row."""
    reference = None if root.stack is None else root.stack.reference
    frame = root.frame
    return RootRow(
        kind=root.kind,
        address=None if root.address is None else Address(root.address),
        object=Address(root.object),
        type=naming.type_of(root.object) or "<unreadable>",
        interior=root.interior,
        pinned=root.pinned,
        thread=thread_of(session.threads, root),
        frame=None if frame is None else FrameRef(Address(frame.ip), Address(frame.sp), frame_method(frame)),
        register=None if reference is None else reference.register,
        offset=None if reference is None else reference.offset,
        exact=root.exact,
        declaring_type=None if root.static is None else root.static.declaring_type,
        field=None if root.static is None else root.static.field,
    )
