"""What each thread's stack alone keeps alive."""

import numpy as np
from numpy.typing import NDArray

from heaphound.graph.object_graph import NO_OBJECT
from heaphound.runtime.roots import STACK
from heaphound.session import Session

Indices = NDArray[np.uint32]


def retained_by_stacks(session: Session) -> dict[int, int]:
    """Kernel id of each thread to the bytes that would be free without its frames: reached by no other thread's stack and no other root.

    Words that only look like references count for nobody. A thread whose stack holds nothing of its own has 0; one that is not in the
    result has no exact roots. O(references) once, and once more for each thread that holds something of its own.
    """
    table, graph, roots = session.table, session.graph.graph, session.roots
    indices = table.indices_containing(roots.objects)
    usable = (indices != NO_OBJECT) & roots.exact()
    others = graph.reachable(np.unique(indices[usable & (roots.kinds != STACK)]), progress=session.progress)
    held: dict[int, set[int]] = {}
    for root, index in zip(session.stack_roots.exact, indices[usable & (roots.kinds == STACK)].tolist(), strict=True):
        of_thread = held.setdefault(root.os_id, set())
        if not others[index]:
            of_thread.add(index)
    reached: dict[int, Indices] = {}
    holders = np.zeros(len(others), dtype=np.uint8)
    for os_id, own in held.items():
        mask = graph.reachable(np.array(sorted(own), dtype=np.uint32)) if own else np.zeros(len(others), dtype=np.bool_)
        reached[os_id] = np.flatnonzero(mask & ~others).astype(np.uint32)
        holders[reached[os_id]] += holders[reached[os_id]] < 2
    return {os_id: int(table.sizes_of(objects[holders[objects] == 1]).sum()) for os_id, objects in reached.items()}
