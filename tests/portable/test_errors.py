"""Errors: classes by who can act, one table of codes."""

from fakes import raises

from ota.errors import CODES, ImageError, OtaError, SignatureError, SlotError, SourceError, error


def test_every_code_belongs_to_one_of_the_four_classes():
    for code in CODES:
        assert CODES[code] in (SourceError, ImageError, SignatureError, SlotError), code


def test_an_error_carries_its_code_and_shows_it():
    e = error("digest-mismatch", "block 3")
    assert isinstance(e, OtaError) and isinstance(e, ImageError)
    assert e.code == "digest-mismatch"
    assert str(e) == "digest-mismatch: block 3"


def test_a_code_outside_the_table_is_a_bug():
    raises(KeyError, error, "no-such-code", "")
