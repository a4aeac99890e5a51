"""Self-checks on dynamic class ids, by which statics of generic types and of types made at run time are found up to .NET 8."""

from itertools import chain, islice

from heaphound.errors import Malformed, Unreadable
from heaphound.runtime.check_subject import CheckSubject, expect
from heaphound.runtime.domain_local_statics import NO_DYNAMIC_ID, dynamic_class_id, loader_module
from heaphound.runtime.held_checks import collectible_types, instantiated_types

SAMPLE_TYPES = 600
MOST_IDS = 1 << 22  # of one module; each is an entry of a table


def check_dynamic_ids(subject: CheckSubject) -> None:
    """No two types that one module holds the statics of have the same id (Module::AllocateDynamicEntry, ceeload.cpp)."""
    memory, layout = subject.memory, subject.layout
    if layout.contract("Statics") != "domain-local-module":
        return
    owners: dict[tuple[int, int], str] = {}
    kinds = {True: 0, False: 0}
    for owner in islice(chain(instantiated_types(subject), collectible_types(subject)), SAMPLE_TYPES):
        try:
            identity, module = dynamic_class_id(memory, layout, owner), loader_module(owner)
        except (Malformed, Unreadable):
            continue  # whose module is unknown is another check's matter
        if identity is None or identity == NO_DYNAMIC_ID:
            continue
        expect(identity < MOST_IDS, f"dynamic class ids: {owner.name} has {identity:#x}")
        other = owners.setdefault((module.address, identity), owner.name)
        expect(other == owner.name, f"dynamic class ids: {owner.name} has {identity}, as {other} of {module.name} has")
        kinds[bool(owner.flags & layout.constant("MethodTableFlags.StaticsGenerics"))] += 1
    for generic, name in ((True, "GenericsStaticsInfo.DynamicTypeID"), (False, "EEClassOptionalFields.ModuleDynamicID")):
        if kinds[generic] < 2:
            subject.not_exercised(name)
