"""What can be done with a dump, as the self-checks of the layout found it."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Ability:
    """One thing that can be done with this dump. `origin` says where its offsets come from; empty when it is not available.

    `failed` is the sentence of the check that takes the ability away; None when it is available. `not_exercised` are the numbers and
    structures of which this dump has no case, so that no check could find them wrong. `disagrees` tells that what failed did not for lack
    of memory in the dump: the layout is not this build's, or the process was damaged. `unchecked` is the sentence of the first check that
    could not be made because the dump was meant to hold little or was cut: what of the ability there is must be tried; None elsewhere.
    """

    name: str
    available: bool
    origin: str
    failed: str | None
    not_exercised: tuple[str, ...] = ()
    disagrees: bool = False
    unchecked: str | None = None
