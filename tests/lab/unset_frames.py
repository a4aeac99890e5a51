"""Slots that the oracle tells of frames that are not set up: a thread was stopped before or after, where no collection finds it.

GcInfoDecoder::EnumerateLiveSlots (src/coreclr/vm/gcinfodecoder.cpp) reports the slots that are live in the whole method at any instruction,
and counts them from the frame register, which is still the caller's: each lies in another frame, and holds anything.
"""

from heaphound.runtime.gc_info.frame_slots import _base
from heaphound.runtime.stacks.frame import ManagedFrame
from heaphound.session import Session


def unset_slots(session: Session) -> set[tuple[int, str, str]]:
    """Thread, stack pointer of the frame, and slot, of each frame that was looked through because nothing is told of its instruction."""
    found = set()
    for words in session.stack_roots.words:
        frame = words.frame
        if isinstance(frame, ManagedFrame) and frame.active and frame.caller is not None:
            info = session.stacks.gc_infos.at(frame.code.gc_info)
            places = ((_base(slot, info, frame)[1] + slot.offset) & (1 << 64) - 1 for slot in info.slots.untracked)
            found.update((words.os_id, hex(frame.sp), hex(place)) for place in places)
    return found
