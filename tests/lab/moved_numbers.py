"""Does a DAC notice a layout file with one number wrong? Every number that it goes by is moved in turn.

    python -m tests.lab.moved_numbers CORE

Prints one line of JSON: `confirmed`, how many the DAC goes by; `unnoticed`, the names of those whose move it does not notice; `put_right`,
how many it gives as the file had them. It runs in a process of its own, as it forks and loads a DAC.
"""

import json
import os
import sys

os.environ["OPENBLAS_NUM_THREADS"] = "1"  # numpy's library starts threads when it is loaded, and this process forks

from tools.dac.derive import hold
from tools.dac.evidence import Evidence
from tools.dac.observe import dac_beside, observe
from tools.dac.path import GLOBAL
from tools.dac_table import read_table
from tools.layout_check import numbers_of, places_of

from heaphound.dump.core import open_core
from heaphound.layouts.load import layout_file
from heaphound.runtime.locate import find_coreclr

MOVED_BYTES, MOVED_PLACES = 8, 1


def main() -> None:
    core = open_core(sys.argv[1])
    found = find_coreclr(core)
    source = layout_file(found.version, core.machine, found.module.build_id)
    table, dac = read_table(core, found, source), dac_beside(found)
    assert dac is not None
    places = places_of(found, source, table)
    evidence = Evidence(
        observe(core, found, dac, table.entries).observed, table.places, {name: added for name, (_, added) in places.items()}
    )
    numbers = numbers_of(source, places)
    confirmed = sorted(hold(evidence, numbers).confirmed)
    unnoticed, put_right = [], 0
    for name in confirmed:
        moved = numbers[name] + (MOVED_PLACES if name.startswith(GLOBAL) else MOVED_BYTES)
        held = hold(evidence, {**numbers, name: moved})
        if not held.changed and not held.open:
            unnoticed.append(name)
        put_right += held.numbers[name] == numbers[name]
    print(json.dumps({"confirmed": len(confirmed), "unnoticed": unnoticed, "put_right": put_right}))


if __name__ == "__main__":
    main()
