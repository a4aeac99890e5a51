"""The sample in the repository and what lies beside it belong together."""

from tests.lab.sample import SAMPLE, SYMBOLS, answers_are_of_this_sample

LARGEST_BYTES = 12_000_000  # what every clone has to carry


def test_the_recorded_answers_are_about_this_sample() -> None:
    assert answers_are_of_this_sample()


def test_the_sample_is_small() -> None:
    assert SAMPLE.stat().st_size <= LARGEST_BYTES


def test_the_symbols_are_those_of_the_program() -> None:
    programs = SAMPLE.parent.parent / "tests" / "programs" / "RedisLeak" / "bin"
    for name in ("Shop.Caching.pdb", "RedisLeak.pdb"):
        assert (SYMBOLS / name).read_bytes() == (programs / name).read_bytes()
