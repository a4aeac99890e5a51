"""What piles up in ways that rules of their own tell better than that for collections."""

from heaphound.diagnose.accumulation import Accumulation
from heaphound.diagnose.interned import interning_arrays
from heaphound.diagnose.slot import item_count
from heaphound.diagnose.subject import Subject

# what these hold is told by timers, cancellation-registrations, waiting-methods and thread-pool-queue
HELD_FOR_THE_PROGRAM = (
    "System.Threading.TimerQueue",
    "System.Threading.CancellationTokenSource",
    "System.Threading.SemaphoreSlim",
    "System.Threading.ThreadPoolWorkQueue",
)


def is_of_other_rules(subject: Subject, found: Accumulation) -> bool:
    """Subscribers of events, interned strings, and what the runtime holds for the program. Delegates in a collection are no subscribers."""
    kinds = [subject.type_of(index) for index in found.chain]
    if any(kind.name.startswith(HELD_FOR_THE_PROGRAM) for kind in kinds):
        return True
    if found.piled_type == "System.String" and found.chain[0] in interning_arrays(subject):
        return True
    if any(item_count(subject, index) is not None for index in found.chain):
        return False
    list_of_delegate = kinds[-1].name == "System.Object[]" and any(kind.is_delegate for kind in kinds)
    return list_of_delegate or subject.types.type(found.piled_method_table).is_delegate
