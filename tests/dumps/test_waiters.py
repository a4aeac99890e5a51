"""Who waits in Monitor.Wait: the oracle has no word for it, the program has. Zoo's finalizer waits for an event that is never set."""

import pytest

from heaphound.dump.core import open_core
from heaphound.runtime.find import find_runtime
from heaphound.runtime.sync_blocks import read_sync_blocks
from heaphound.runtime.threads import read_threads
from tests.lab.dumps import make_dump, zoo
from tests.lab.runtimes import VERSIONS


@pytest.mark.parametrize("version", VERSIONS)
def test_the_finalizer_waits_for_an_event(version: str) -> None:
    runtime = find_runtime(open_core(make_dump(zoo(version)).path))
    threads = read_threads(runtime)
    waiting = [thread for block in read_sync_blocks(runtime, threads) for thread in block.waiting]
    assert waiting == [thread.address for thread in threads if thread.finalizer]
