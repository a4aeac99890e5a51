"""Each layout file against each runtime of the lab, by `tools/make_layout.py --check`: self-checks, the runtime's descriptor and its DAC.

The tool runs in a process of its own for each runtime, as a process can load one DAC only. The DAC of a runtime for arm64 or musl cannot
be loaded on a machine of another kind: there the descriptor and the self-checks alone speak.
"""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from tools.dac.observe import DAC_NAME
from tools.layout_check import named_in_ways
from tools.layout_numbers import numbers, value

from heaphound.layouts.load import LayoutFile, layout_file, parse_layout_file
from tests.lab.dumps import install, killed_at_end, make_dump, start_command, start_environment, wait_until_ready, zoo
from tests.lab.runtimes import framework_directory, runtime_root

REPOSITORY = Path(__file__).resolve().parents[2]
DATA = REPOSITORY / "python" / "heaphound" / "layouts" / "data"
TOOL = REPOSITORY / "tools" / "make_layout.py"
FRAMES_SINCE_10 = 18
# A chunk of MethodDescs may begin at any address that was read; neighbouring words are equal where a queue or a context is empty; and an
# entry of another size begins where nothing was read.
UNNOTICED = {"MethodDescChunk.MethodTable", "CFinalize.FillPointers", "Generation.AllocContextPointer", "SyncTableEntry.!"}
# How many numbers the DAC must speak of at least: what was seen, less some that rest on what the program happens to be doing.
BY_DAC = {
    "3.0.0": 110,
    "3.1.2": 120,
    "3.1.23": 120,
    "6.0.6": 120,
    "8.0.4": 120,
    "8.0.15": 120,
    "8.0.31": 120,
    "9.0.1": 120,
    "9.0.5": 120,
    "9.0.11": 120,
    "10.0.11": 110,
}
WITHOUT_DAC = (
    pytest.param("10.0.11-musl", marks=pytest.mark.musl),
    pytest.param("3.1.2-arm64", marks=pytest.mark.arm64),
    pytest.param("8.0.31-arm64", marks=pytest.mark.arm64),
    pytest.param("10.0.11-arm64", marks=pytest.mark.arm64),
)
SPOKEN = re.compile(r"(\d+) numbers: the DAC goes by (\d+) and its answers rest on (\d+) more, the descriptor says (\d+)")


def run_tool(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, str(TOOL), *arguments], check=False, capture_output=True, text=True, timeout=290)


def spoken_of(output: str) -> tuple[int, int]:
    """How many numbers the DAC goes by, and how many the descriptor says."""
    match = SPOKEN.search(output)
    assert match is not None, output
    return int(match[2]), int(match[4])


@pytest.mark.parametrize("runtime", BY_DAC)
def test_the_file_says_what_the_dac_goes_by(runtime: str) -> None:
    done = run_tool(str(make_dump(zoo(runtime)).path), "--check")
    assert (done.returncode, done.stderr) == (0, ""), done.stdout + done.stderr
    assert spoken_of(done.stdout)[0] >= BY_DAC[runtime]


def test_each_number_is_listed_with_those_that_say_the_same() -> None:
    """On a server's heaps, whose numbers no other dump here asks the DAC about."""
    done = run_tool(str(make_dump(zoo("3.1.2", server_gc=True)).path), "--check", "--numbers")
    assert (done.returncode, done.stderr) == (0, ""), done.stdout + done.stderr
    said = dict(line.split(": ", 1) for line in done.stdout.splitlines() if ": " in line)
    assert said["GcDacVars.Heaps"].startswith("GetGCHeapList.heaps[0]; ")
    assert said["ServerHeap.AllocAllocated"].startswith("GetGCHeapDetails.allocated")
    assert said["ServerHeap.GenerationTable"].startswith("GetGCHeapDetails.gen0_segment")
    assert "self-check threads / ThreadStore" in said["Thread.Id"]
    assert said["ArrayListBase.Count"].startswith("used by GetAssemblyList.assemblies.count; self-check ")


def test_a_wrong_number_is_named_with_the_one_that_the_dac_goes_by(tmp_path: Path) -> None:
    text = (DATA / "coreclr-10.0-x64.json").read_text("utf-8")
    right = '"HeapSegment": {"Allocated": 0, "Committed": 8,'
    assert text.count(right) == 1
    wrong = tmp_path / "wrong.json"
    wrong.write_text(text.replace(right, right.replace("8,", "24,")), "utf-8")
    done = run_tool(str(make_dump(zoo("10.0.11")).path), "--check", "--layout", str(wrong))
    assert done.returncode == 1
    assert "HeapSegment.Committed: 24, the DAC goes by 8 (GetHeapSegmentData.committed)" in done.stdout.splitlines()


def test_a_live_process_is_checked_and_goes_on(tmp_path: Path) -> None:
    recipe = zoo("10.0.11")
    command = start_command(recipe, install(recipe, tmp_path / "app"), runtime_root(recipe.runtime))
    errors = tmp_path / "stderr"
    with open(errors, "wb") as stderr, killed_at_end(command, {"LANG": "C.UTF-8", **start_environment(recipe)}, stderr) as process:
        wait_until_ready(process, recipe, errors)
        done = run_tool("--process", str(process.pid), "--check")
        assert process.poll() is None
    assert (done.returncode, done.stderr) == (0, ""), done.stdout + done.stderr
    assert spoken_of(done.stdout)[0] >= BY_DAC["10.0.11"]


def test_a_process_without_dotnet_is_refused_in_a_sentence() -> None:
    with subprocess.Popen(["sleep", "300"]) as process:  # not this one, which may have mapped the file for a dump
        done = run_tool("--process", str(process.pid), "--check")
        process.kill()
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"make_layout: process {process.pid} has no libcoreclr.so\n"


def test_a_dac_of_another_build_is_refused_in_a_sentence() -> None:
    other = framework_directory("9.0.11") / DAC_NAME
    done = run_tool(str(make_dump(zoo("10.0.11")).path), "--check", "--dac", str(other))
    assert (done.returncode, done.stdout) == (2, "")
    assert f"make_layout: {other} is of commit " in done.stderr


def test_a_number_that_has_moved_is_noticed_by_the_dac() -> None:
    command = [sys.executable, "-m", "tests.lab.moved_numbers", str(make_dump(zoo("10.0.11")).path)]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=290, cwd=REPOSITORY)
    found = json.loads(done.stdout)
    assert found["confirmed"] >= BY_DAC["10.0.11"] - FRAMES_SINCE_10
    assert set(found["unnoticed"]) <= UNNOTICED
    assert found["put_right"] >= 0.85 * found["confirmed"]


def test_a_draft_is_wrong_in_nothing_that_a_source_spoke_of() -> None:
    done = run_tool(str(make_dump(zoo("10.0.11")).path), "--from", "9.0")
    assert done.returncode == 0, done.stderr
    drafted, known, older = (numbers_by_name(file) for file in (parse_layout_file(done.stdout, "draft"), of("10.0.11"), of("9.0.11")))
    differing = {name for name in known if older.get(name) != known[name]}
    right = {name for name in differing if drafted.get(name) == known[name]}
    left_to_the_reader = set(listed(done.stderr, "copied, to be looked up where a self-check fails")) | {
        f"global {name}" for name in listed(done.stderr, "globals guessed by distance")
    }
    assert {name for name in differing - right if name in drafted} <= left_to_the_reader
    assert {name for name in known.keys() - differing if drafted.get(name) != known[name]} == set()
    assert len(right) >= 60


def of(version: str) -> LayoutFile:
    return layout_file(version, "x64", None)


def numbers_by_name(file: LayoutFile) -> dict[str, int]:
    """Offsets, sizes and places in g_dacTable, as ways and the report of a draft name them."""
    return {named_in_ways(number): value(file, number) for number in numbers(file) if number.kind != "constant"}


def listed(report: str, title: str) -> list[str]:
    """The names behind a title of the report."""
    return re.search(rf"^{re.escape(title)}: (.*)$", report, re.MULTILINE)[1].split(", ")  # type: ignore[index]


@pytest.mark.parametrize("runtime", WITHOUT_DAC)
def test_where_the_dac_cannot_be_loaded_the_rest_is_checked(runtime: str) -> None:
    done = run_tool(str(make_dump(zoo(runtime)).path), "--check")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "the DAC is not asked" in done.stderr
    assert spoken_of(done.stdout)[0] == 0
