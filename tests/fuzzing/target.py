"""A target: a parser, what must hold for any input, where a search begins, how an input is changed."""

import verdicts_searched as V  # noqa: N812

from ota.errors import CODES, OtaError


class Target:
    """One parser, in words of bytes.

    Attributes:
        name: as in `verdicts_searched.TARGETS`.
        longest: bytes of an input that is searched.
        words: what a mutation puts in.
        cases: of data/corpus/<parser>.json, to begin with too: what stands before and behind each.
        is_structured: `change` and `mend` know the format.
    """

    name = ""
    longest = 2048
    words: tuple = ()
    cases: dict = {}
    is_structured = False

    def seeds(self) -> list:
        """Inputs to begin with."""
        raise NotImplementedError

    def check(self, data: bytes) -> str:
        """The kind of outcome of an input; raises AssertionError, or what came out, where it is wrong."""
        raise NotImplementedError

    def change(self, data: bytes, random) -> "bytes | None":
        """The input with fields changed; None where it is too broken for that."""
        return None

    def mend(self, data: bytes, random) -> bytes:
        """The input with its lengths, checksums and signatures made right again."""
        return data

    def outcome(self, data: bytes) -> tuple:
        """The code of the failure and None, or "ok" and what the library read."""
        try:
            return "ok", V.TARGETS[self.name](data)
        except OtaError as e:
            assert type(e) is CODES[e.code], "a code of another class"
            return e.code, None


def agreed(target: Target, data: bytes, codes: set, wanted) -> str:
    """The outcome of `data`: one of these codes, or what is wanted where there are none."""
    code, found = target.outcome(data)
    if codes:
        assert code in codes, "%s, expected %s" % (code, " or ".join(sorted(codes)))
    else:
        assert code == "ok", "%s, but it is good" % code
        assert found == wanted, "read as something else"
    return code
