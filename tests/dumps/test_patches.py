"""A patch whose table of globals has a variable more in the middle than that of the layout's build."""

import heaphound
from tests.lab.dumps import make_dump, zoo


def test_what_stands_behind_a_variable_that_a_patch_inserted() -> None:
    """8.0.31: g_pSyncTable, s_pSyncBlockCache and the internal calls stand one entry later than in 8.0.4."""
    dump = heaphound.open(str(make_dump(zoo("8.0.31")).path))
    assert [ability.name for ability in dump.info().result.abilities if ability.state != "available"] == []
    assert any(block.held for block in dump.session.sync_blocks)
