"""Lines and names out of PDBs, against the source files that lie beside the programs; and how a PDB is found."""

import shutil
from pathlib import Path
from uuid import UUID

import pytest

from heaphound.errors import Malformed
from heaphound.runtime.metadata.debug_directory import embedded_pdb
from heaphound.runtime.portable_pdb import PortablePdb
from heaphound.runtime.symbols import SymbolStore
from tests.unit.metadata.images import LEAKS, PROGRAMS, REDIS, SHOP_CACHING, ZOO, image, metadata, method_rid

REDIS_HUB = (PROGRAMS / "Shop.Caching/RedisHub.cs").read_text().splitlines()


def pdb_of(path: Path) -> PortablePdb:
    return PortablePdb(path.with_suffix(".pdb").read_bytes())


def test_every_line_of_the_getter_exists_in_its_source() -> None:
    pdb = pdb_of(SHOP_CACHING)
    rid = method_rid(SHOP_CACHING, "Shop.Caching.RedisHub", "get_Instance")
    points = [point for point in pdb.sequence_points(rid) if not point.is_hidden]
    texts = [REDIS_HUB[point.start_line - 1][point.start_column - 1 : point.end_column - 1] for point in points]
    assert "_hub.ConnectionFailed += OnConnectionFailed;" in texts
    assert "return _hub;" in texts
    assert [point.offset for point in points] == sorted(point.offset for point in points)
    assert pdb.document(points[0].document).endswith("Shop.Caching/RedisHub.cs")


def test_location_of_an_offset_inside_a_statement() -> None:
    pdb = pdb_of(SHOP_CACHING)
    rid = method_rid(SHOP_CACHING, "Shop.Caching.RedisHub", "get_Instance")
    line = 1 + next(number for number, text in enumerate(REDIS_HUB) if "_hub.ConnectionFailed +=" in text)
    start = next(point.offset for point in pdb.sequence_points(rid) if point.start_line == line)
    for offset in (start, start + 5, start + 17):
        place = pdb.location(rid, offset)
        assert place is not None
        assert (place.start_line, place.end_line) == (line, line)
    first = pdb.first_location(rid)
    assert first is not None
    assert REDIS_HUB[first.start_line - 1].strip() == "{"


def test_local_variables_have_names_and_scopes() -> None:
    pdb = pdb_of(SHOP_CACHING)
    rid = method_rid(SHOP_CACHING, "Shop.Caching.RedisHub", "get_Instance")
    (options,) = pdb.local_variables(rid)
    assert options.name == "options"
    assert 0 < options.start < options.end


def test_async_body_leads_to_its_method_and_back() -> None:
    pdb = pdb_of(ZOO)
    body = method_rid(ZOO, "Zoo.Program+<Middle>d__16", "MoveNext")
    written = method_rid(ZOO, "Zoo.Program", "Middle")
    assert pdb.kickoff_method(body) == written
    assert pdb.move_next_method(written) == body
    assert pdb.kickoff_method(written) is None


def test_every_method_of_an_embedded_pdb_decodes() -> None:
    raw = embedded_pdb(image(REDIS))
    assert raw is not None
    pdb = PortablePdb(raw)
    data = metadata(REDIS)
    points = [pdb.sequence_points(rid) for rid in range(1, data.tables.count(6) + 1)]
    assert sum(map(len, points)) > 10_000
    lines = [point.start_line for method in points for point in method if not point.is_hidden]
    assert 0 < min(lines) <= max(lines) < 10_000
    assert all(name.endswith(".cs") for name in pdb.documents())


def test_search_order_and_refusal(tmp_path: Path) -> None:
    assert SymbolStore().find(image(REDIS)).origin == "embedded"
    beside = SymbolStore().find(image(ZOO), str(ZOO))
    assert beside.origin == str(ZOO.with_suffix(".pdb"))
    closed = SymbolStore(allow_original_paths=False).find(image(ZOO), str(ZOO))
    assert (closed.pdb, closed.origin) == (None, None)
    (tmp_path / "deep").mkdir()
    shutil.copy(ZOO.with_suffix(".pdb"), tmp_path / "deep" / "Zoo.pdb")
    found = SymbolStore([tmp_path], allow_original_paths=False).find(image(ZOO))
    assert found.origin == str(tmp_path / "deep" / "Zoo.pdb")
    shutil.copy(LEAKS.with_suffix(".pdb"), tmp_path / "Zoo.pdb")
    both = SymbolStore([tmp_path], allow_original_paths=False).find(image(ZOO))
    assert both.origin == str(tmp_path / "deep" / "Zoo.pdb")
    assert "another build" in both.refused[0]


def test_symbol_server_layout(tmp_path: Path) -> None:
    place = tmp_path / "zoo.pdb" / (pdb_guid(ZOO) + "ffffffff")
    place.mkdir(parents=True)
    shutil.copy(ZOO.with_suffix(".pdb"), place / "zoo.pdb")
    assert SymbolStore([tmp_path], allow_original_paths=False).find(image(ZOO)).pdb is not None


def pdb_guid(path: Path) -> str:
    return UUID(bytes_le=pdb_of(path).pdb_id[:16]).hex


def test_what_is_no_pdb() -> None:
    with pytest.raises(Malformed):
        PortablePdb(b"Microsoft C/C++ MSF 7.00\r\n")
    with pytest.raises(Malformed):
        PortablePdb(image(ZOO).metadata_bytes())
    with pytest.raises(Malformed):
        pdb_of(ZOO).sequence_points(100_000)
