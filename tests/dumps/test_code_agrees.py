"""Methods by MethodDesc and by code address against the oracle's list of methods with native code."""

import pytest

from heaphound.runtime.code import CodeLocator
from tests.dumps.conftest import Opened
from tests.lab.cases import all_cases
from tests.lab.oracle import Row

LIVE = pytest.mark.parametrize("opened", all_cases()[1:], indirect=True)  # the first is the sample, for which no methods are recorded


def without(text: str, opening: str, after_letter: bool) -> str:
    """`text` without what stands between `opening`'s bracket and its partner; with `after_letter` only where a name goes before it."""
    closing = {"[": "]", "<": ">"}[opening[0]]
    kept, depth = [], 0
    for index, letter in enumerate(text):
        before = text[index - 1 : index]
        if depth:
            depth += (letter == opening[0]) - (letter == closing)
        elif text.startswith(opening, index) and (not after_letter or before.isalnum() or before == "_"):
            depth = 1
        else:
            kept.append(letter)
    return "".join(kept)


def split(signature: str) -> tuple[str, str]:
    """Name and parameter list."""
    depth = 0
    for index, letter in enumerate(signature):
        depth += (letter in "[<") - (letter in "]>")
        if letter == "(" and depth == 0:
            return signature[:index], signature[index + 1 : -1]
    return signature, ""


def comparable(signature: str) -> tuple[str, int]:
    """Name without generic arguments, and the number of parameters: the oracle gives arguments assemblies and parameters no namespaces."""
    name, parameters = split(signature)
    plain = "".join(part.lstrip("0123456789") if position else part for position, part in enumerate(without(name, "[[", False).split("`")))
    depth, count = 0, 1 if parameters.strip() else 0
    for letter in parameters:
        depth += (letter in "<[(") - (letter in ">])")
        count += letter == "," and depth == 0
    return without(plain, "<", True), count


def located(code: CodeLocator, row: Row, offset: int, certain: bool) -> tuple[str, int]:
    """Full name of the method that the code belongs to, and where it starts; `certain`: no guess."""
    found = code.locate(int(row["code"], 16) + offset)
    assert found is not None, row
    assert found.method is not None, (row, found.problem)
    assert found.problem is None or not certain, (row, found.problem)
    return found.method.full_name, found.start


@LIVE
def test_methods_by_method_desc(opened: Opened) -> None:
    rows = [row for row in opened.case.answers("methods") if row["signature"] is not None]
    methods = opened.dump.session.code.methods
    different = []
    for row in rows:
        method = methods.method(int(row["md"], 16))
        if comparable(method.full_name) != comparable(row["signature"]) or hex(method.token) != hex(int(row["token"], 16)):
            different.append((method.full_name, row["signature"]))
    assert len(rows) > 100
    assert different == []


@LIVE
def test_methods_by_first_and_last_instruction(opened: Opened) -> None:
    rows = [row for row in opened.case.answers("methods") if row["compilation"] in ("Jit", "Ngen") and row["signature"] is not None]
    code = opened.dump.session.code
    whole = "withheap" not in opened.case.name  # such a dump lacks most tables of the images, so code that did not run is a guess
    different = []
    for row in rows:
        wanted = code.methods.method(int(row["md"], 16)).full_name, int(row["code"], 16)
        found = [located(code, row, offset, whole) for offset in (0, row["hot_size"] - 1)]
        if found != [wanted, wanted]:
            different.append((wanted, found))
    assert len(rows) > 100
    assert different == []
