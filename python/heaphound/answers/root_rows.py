"""Roots as the rows of answers."""

from heaphound.address import Address
from heaphound.answers.naming import Naming
from heaphound.diagnose.holding import thread_of
from heaphound.results.roots import RootRow
from heaphound.runtime.roots import KINDS, PINNED_HANDLE, Root
from heaphound.session import Session


def root_row(session: Session, naming: Naming, root: Root) -> RootRow:
    """One root as a row."""
    return RootRow(
        kind=root.kind,
        address=None if root.address is None else Address(root.address),
        object=Address(root.object),
        type=naming.type_of(root.object) or "<unreadable>",
        interior=False,
        pinned=root.kind == KINDS[PINNED_HANDLE],
        thread=thread_of(session.threads, root),
        exact=root.exact,
        declaring_type=None if root.static is None else root.static.declaring_type,
        field=None if root.static is None else root.static.field,
    )
