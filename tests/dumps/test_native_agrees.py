"""Native frames against gdb: the same instruction and stack pointers from where threads stopped up to managed code, or their beginning."""

from pathlib import Path

import pytest

from tests.lab.dumps import Recipe, make_dump
from tests.lab.kinds import make_crash
from tests.lab.native_agreement import compare, recipes
from tests.lab.runtimes import runtime_root

pytestmark = pytest.mark.gdb
RECIPES = [*recipes("8.0.4"), *recipes("10.0.11")[2:]]


@pytest.mark.parametrize("recipe", RECIPES, ids=[recipe.name for recipe in RECIPES])
def test_every_thread(recipe: Recipe, tmp_path: Path) -> None:
    found = compare(make_dump(recipe).path, runtime_root(recipe.runtime) / "dotnet", tmp_path)
    assert found.differences == []
    assert found.agreed == found.frames > 4 * found.threads
    assert found.problems == []  # every run leads to the managed frame that the runtime's Frame names
    assert found.begun + found.unborn + found.interrupted == found.threads
    assert found.unborn + found.interrupted <= 2
    assert found.arrived > 5


@pytest.mark.kernel_core
def test_a_crash_with_images_from_disk(tmp_path: Path) -> None:
    """The kernel's core of a hardware fault: the images are on disk alone, a signal's frame is among the others."""
    found = compare(make_crash(Recipe("Extremes", "9.0.11", ("segfault",))), runtime_root("9.0.11") / "dotnet", tmp_path)
    assert (found.differences, found.problems) == ([], [])
    assert found.agreed == found.frames > 50
    assert found.begun + found.unborn + found.interrupted == found.threads
    assert found.unborn + found.interrupted <= 2
