"""Self-check on the layout's numbers among themselves, whatever dump is read."""

from heaphound.runtime.check_subject import CheckSubject, expect


def check_numbers(subject: CheckSubject) -> None:
    """No number contradicts others. One that does is refused wherever it is asked for, so that what rests on it fails by name too."""
    broken = dict.fromkeys(subject.layout.broken.values())
    expect(not broken, "; ".join(broken))
