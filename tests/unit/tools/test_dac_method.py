"""The DAC perturbation method on hand-made answers: no DAC is loaded, its answers are a function of a few words written here."""

import os
import signal
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field

import pytest
from tools.dac import calls
from tools.dac.derive import derive, hold
from tools.dac.evidence import Evidence, Observed
from tools.dac.feeds import feeds
from tools.dac.path import Term, read_ways
from tools.dac.resolve import Question
from tools.dac.shapes import Answer, Call, read_fields, size_bytes
from tools.dac.trials import run_trials
from tools.dac.ways import WAYS

THREAD, STORE, VARIABLE = 0x700000, 0x600000, 0x500000
# A Thread as a DAC of a made-up build reads it: its state at 8, its id at 20, the next one's link at 40.
WORDS = {
    THREAD + 8: 0x0000002002020020,
    THREAD + 16: 0x0000000700000000,
    THREAD + 24: 0,
    THREAD + 32: 0,
    THREAD + 40: THREAD + 0x1000 + 40,
    VARIABLE: STORE,
    STORE: 0,
    STORE + 8: 5,
}


@dataclass
class Memory:
    """Stands for the target: what the words hold, and what is laid over them."""

    reads: list[tuple[int, int]] | None = None
    patch: list[tuple[int, bytes]] = field(default_factory=list)

    def memory(self, address: int, size: int) -> bytes:
        return b"".join(struct.pack("<Q", WORDS.get(word, 0)) for word in range(address, address + size, 8))[:size]

    def read(self, address: int, size: int) -> bytes:
        if self.reads is not None:
            self.reads.append((address, size))
        data = bytearray(self.memory(address, size))
        for start, changed in self.patch:
            if address <= start and start + len(changed) <= address + size:
                data[start - address : start - address + len(changed)] = changed
        return bytes(data)


@dataclass
class Library:
    """Stands for the DAC: `flush` has nothing to forget."""

    target: Memory = field(default_factory=Memory)

    def flush(self) -> None:
        pass


def observed(call: Call, arguments: tuple[int, ...], answer: Call) -> Observed:
    """What is found of the made-up `answer`, filed under the real `call`."""
    return Observed(Question(call, arguments), feeds(Library(), answer, arguments))  # type: ignore[arg-type]


def thread_data(library: Library, arguments: tuple[int, ...]) -> Answer:
    raw = library.target.read(arguments[0], 48)
    state, identifier, link = struct.unpack_from("<8xI", raw)[0], struct.unpack_from("<20xI", raw)[0], struct.unpack_from("<40xQ", raw)[0]
    if link % 8:
        os.kill(os.getpid(), signal.SIGKILL)
    return {"hresult": 0, "id": identifier, "state": state, "next": link - 40}


def store_data(library: Library, _arguments: tuple[int, ...]) -> Answer:
    store = int.from_bytes(library.target.read(VARIABLE, 8), "little")
    if store != STORE:
        return {"hresult": 0x80004005, "threads": 0}
    return {"hresult": 0, "threads": int.from_bytes(library.target.read(store, 16)[8:], "little")}


THREAD_DATA = Call("thread", thread_data)  # type: ignore[arg-type]
STORE_DATA = Call("store", store_data)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def evidence() -> Evidence:
    shown = (observed(calls.THREAD, (THREAD,), THREAD_DATA), observed(calls.THREAD_STORE, (), STORE_DATA))
    return Evidence(shown, {VARIABLE: 3, VARIABLE + 8: 4})


RIGHT: Mapping[str, int] = {
    "Thread.State": 8,
    "Thread.Id": 20,
    "Thread.LinkNext": 40,
    "global ThreadStore": 3,
    "ThreadStore.ThreadCount": 8,
}


def test_numbers_that_the_answers_go_by_are_confirmed(evidence: Evidence) -> None:
    held = hold(evidence, RIGHT)
    assert not held.changed
    assert not held.open
    assert held.confirmed.keys() == RIGHT.keys()
    assert held.confirmed["Thread.State"] == ["GetThreadData.state"]


@pytest.mark.parametrize("name", sorted(RIGHT))
def test_a_number_that_is_off_is_named_and_put_right(evidence: Evidence, name: str) -> None:
    held = hold(evidence, {**RIGHT, name: RIGHT[name] + (1 if name.startswith("global") else 4)})
    assert set(held.changed) == {name}
    assert held.numbers[name] == RIGHT[name]


def test_numbers_of_another_version_become_those_of_this_one(evidence: Evidence) -> None:
    older = {"Thread.State": 0, "Thread.Id": 36, "Thread.LinkNext": 232, "global ThreadStore": 4, "ThreadStore.ThreadCount": 184}
    derived = derive(evidence, older)
    assert derived.numbers == RIGHT
    assert derived.changed.keys() == RIGHT.keys()


def test_a_number_of_which_no_answer_tells_stays_and_is_not_confirmed(evidence: Evidence) -> None:
    derived = derive(evidence, {**RIGHT, "Thread.OSId": 424})
    assert derived.numbers["Thread.OSId"] == 424
    assert "Thread.OSId" not in {*derived.confirmed, *derived.changed, *derived.say}


def test_words_that_are_expected_are_enough_where_they_explain_the_answer() -> None:
    question = Question(calls.THREAD, (THREAD,))
    nothing = Evidence((), {VARIABLE: 3})

    def looked_at(numbers: Mapping[str, int]) -> Observed:
        def only(reads: tuple[tuple[int, int], ...]) -> set[int]:
            return nothing.words_expected(question, reads, lambda address: WORDS.get(address, 0), numbers)

        return Observed(question, feeds(Library(), THREAD_DATA, (THREAD,), only))  # type: ignore[arg-type]

    thread = {name: number for name, number in RIGHT.items() if name.startswith("Thread.")}
    right = looked_at(thread)
    assert set(right.feeds.memory) == {THREAD + 8, THREAD + 16, THREAD + 40}
    assert Evidence((right,), {}).settles(calls.THREAD, thread)
    moved = {**thread, "Thread.State": 24}
    assert not Evidence((looked_at(moved),), {}).settles(calls.THREAD, moved)


def test_a_job_that_ends_its_child_costs_only_itself() -> None:
    def work(job: int) -> int:
        if job in (0, 3):
            os.kill(os.getpid(), signal.SIGKILL)
        return 10 * job

    assert run_trials(range(6), work) == [None, 10, 20, None, 40, 50]
    assert run_trials([], work) == []


def test_a_record_is_laid_out_as_c_does() -> None:
    fields = "kind:4 address:8 slot:2 token:4"
    assert size_bytes(fields) == 24
    raw = struct.pack("<I4xQH2xI", 1, 0x700000, 9, 0x06000001)
    assert read_fields(raw, fields) == {"kind": 1, "address": 0x700000, "slot": 9, "token": 0x06000001}


def test_ways_are_read() -> None:
    (way,) = read_ways("block = global SyncTableEntries -> {index} * SyncTableEntry.! + SyncTableEntry.Object ->\n    0")
    assert (way.output, way.relation, way.start) == ("block", "word", "global SyncTableEntries")
    assert way.steps == ((), (Term("SyncTableEntry.!", "index"), Term("SyncTableEntry.Object")), (Term("", "0"),))
    assert way.numbers == {"global SyncTableEntries", "SyncTableEntry.!", "SyncTableEntry.Object"}
    (say,) = read_ways("~name = any: MethodTable.PerInstInfo")
    assert (say.relation, say.start) == ("say", "any")
    with pytest.raises(ValueError, match="no way"):
        read_ways("nothing")


def test_every_call_has_a_name_of_its_own() -> None:
    names = [call.name for call in WAYS]
    assert len(names) == len(set(names))
