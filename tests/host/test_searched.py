"""What a search found (tests/fuzz.py): it is right, and CPython and every VM say the same of it."""

import contextlib
import sys
import types
from pathlib import Path

import pytest
import verdicts_http
import verdicts_searched
from fuzzing import corpus, search
from fuzzing.targets import TARGETS
from test_portable_on_vm import commands, run_all

import ota.config
import ota.espressif
import ota.http
import ota.image
import ota.journal
import ota.jws
import ota.manifest
import ota.otadata
import ota.pins
import ota.receipt
import ota.strict
import ota.trust

TESTS = Path(__file__).parents[1]
CODE = "import sys; sys.path[:0] = %r; import verdicts_searched; verdicts_searched.main(%r)"
PATHS = [str(TESTS.parent / "lib"), str(TESTS / "portable")]


def seeds_and_kept(name) -> list[bytes]:
    return list(dict.fromkeys([*TARGETS[name].seeds(), *corpus.kept(name)]))


def wrong(name, data) -> str:
    """What is wrong with what is made of a case, "" for nothing."""
    try:
        TARGETS[name].check(data)
    except Exception as e:
        return f"{search.described(e)}: {data.hex()}"
    return ""


@pytest.mark.parametrize("name", TARGETS)
def test_what_is_read_is_right(name):
    # By a reader of its own for each format, beside each target: what must hold for any input.
    complaints = [wrong(name, data) for data in seeds_and_kept(name)]
    assert list(filter(None, complaints)) == []


def test_however_an_answer_is_cut_it_is_the_same_answer():
    for data in TARGETS["http"].seeds():
        found = {
            verdicts_http.verdict("http", data[:1] + bytes((cut,)) + data[2:]) for cut in range(8)
        }
        bad = (verdicts_http.BUG, verdicts_http.CUT)
        assert len(found) == 1 and not found.pop().startswith(bad), data.hex()


@pytest.mark.parametrize("name", TARGETS)
def test_the_corpus_is_small_and_each_input_stands_once(name):
    inputs = corpus.kept(name)
    assert 5 < len(set(inputs)) == len(inputs) <= corpus.MOST_KEPT
    assert sum(map(len, inputs)) < 300_000
    assert len({TARGETS[name].check(data) for data in inputs}) > 2


@pytest.mark.parametrize("name", corpus.read_figures())
def test_the_figures_are_those_of_a_whole_search(name):
    # At least a million executions, ten minutes without anything new, nothing found.
    assert corpus.shortfall(name) == ""


def test_every_target_is_replayed_and_only_targets_have_figures():
    # A target without figures was not searched to the end yet: tests/data/README.md says so.
    assert set(corpus.read_figures()) <= set(TARGETS) == set(verdicts_searched.NAMES)
    assert {path.stem for path in corpus.KEPT.glob("*.hex")} == set(TARGETS)


def test_all_interpreters_say_the_same(tmp_path, capsys):
    cases = [(name, data) for name in TARGETS for data in seeds_and_kept(name)]
    path = tmp_path / "cases"
    path.write_text("".join(f"{name} {data.hex()}\n" for name, data in cases))
    here = [verdicts_searched.verdict(name, data) for name, data in cases]
    assert [line for line in here if line.startswith(verdicts_http.BUG)] == []
    code = CODE % (PATHS, str(path))
    vms = {name: command for name, command in commands().items() if command[0] != sys.executable}
    named = {name: [*command, "-c", code] for name, command in vms.items()}
    for vm, (exit_code, out, err) in run_all(named, tmp_path).items():
        assert (exit_code, err) == (0, ""), (vm, out[-2000:] + err)
        there = out.splitlines()
        differing = [
            f"{name} {data.hex()}: CPython {mine!r}, {vm} {theirs!r}"
            for (name, data), mine, theirs in zip(cases, here, there, strict=True)
            if mine != theirs
        ]
        assert differing == []
        with capsys.disabled():
            print(f"\nverdicts: {len(cases)} equal on CPython and {vm}", end="")


# A rule that is gone is found: module, its text, what stands there instead.
BROKEN = {
    "envelope": [
        (ota.jws, 'if header["typ"] != typ:', "if False:"),
        (ota.jws, 'if header["alg"] != key.alg:', "if False:"),
        (ota.jws, 'if header["kid"] in kids:', "if False:"),
        (ota.jws, "threshold < 1 or ", ""),
        (ota.jws, "_SIGNATURES = const(4)", "_SIGNATURES = const(5)"),
        (ota.jws, "if len(entry) != 2:", "if False:"),
        (ota.jws, "HEADER_LIMIT = const(3072)", "HEADER_LIMIT = const(3073)"),
    ],
    "manifest": [
        (ota.strict, "or name in names", ""),
        (ota.strict, "0xD800 <= code < 0xE000", "False"),
        (ota.strict, "_DEPTH = const(6)", "_DEPTH = const(7)"),
        (ota.manifest, "_JUMP = const(1 << 20)", "_JUMP = const((1 << 20) - 1)"),
        (ota.manifest, "if release.sequence < least:", "if release.sequence < highest:"),
        (ota.manifest, "now > release.expires", "now >= release.expires"),
        (ota.manifest, "if release.chip_id != chip_id:", "if False:"),
        (ota.manifest, "or len(self.blocks) != DIGEST", "or len(self.blocks) < DIGEST"),
        (ota.manifest, "if not is_printable(self.version):", "if False:"),
        (ota.strict, "_DIGITS = const(15)", "_DIGITS = const(16)"),
        (ota.strict, "if type(value) is not kind:", "if not isinstance(value, kind):"),
    ],
    "trust": [
        (ota.trust, "for root in (trust.root, found.root):", "for root in (found.root,):"),
        (ota.trust, "for root in (trust.root, found.root):", "for root in (trust.root,):"),
        (ota.trust, "if found.number != trust.number + 1:", "if found.number <= trust.number:"),
        (ota.trust, "if found.sequence_epoch < trust.sequence_epoch:", "if False:"),
        (ota.trust, "if not 1 <= threshold <= len(members):", "if False:"),
        (ota.trust, "if not is_on_curve(x, y):", "if False:"),
        (ota.trust, "or key.value in [known.value for known in keys.values()]", ""),
    ],
    "image_head": [
        (ota.image, "if chip != chip_id:", "if False:"),
        (ota.image, "if magic != DESCRIPTOR:", "if False:"),
    ],
    "image": [
        (ota.image, "if stored != checksum:", "if False:"),
        (ota.image, "if length % 4 or length >= _MAX_SEGMENT:", "if length >= _MAX_SEGMENT:"),
        (ota.image, "if size > limit:", "if False:"),
        (ota.image, "_MAX_SEGMENTS = const(16)", "_MAX_SEGMENTS = const(17)"),
    ],
    "signature_block": [
        (ota.espressif, "if found[1] == value:", "if False:"),
        (ota.espressif, "if found[0] != digest:", "if False:"),
        (ota.espressif, "if crc != computed:", "if False:"),
        (ota.espressif, "if exponent != _EXPONENT:", "if False:"),
        (ota.espressif, "if min(sector[end:]) != 0xFF:", "if False:"),
    ],
    "otadata": [
        (ota.otadata, "in (INVALID, ABORTED)", "== INVALID"),
        (ota.otadata, ">= seq_of(entries[1])", "<= seq_of(entries[1])"),
        (ota.otadata, "+ slots - 1)", "+ slots)"),
    ],
    "journal": [
        (ota.journal, "if journal.state > LEAVING:", "if False:"),
        (ota.journal, "fields[15] == 1", "bool(fields[15])"),
        (ota.journal, "_REASON = const(51)", "_REASON = const(50)"),
        (ota.journal, "if fields[0] != _FORMAT:", "if False:"),
    ],
    "receipts": [
        (ota.receipt, "if slot == str(int(slot))", ""),
        (ota.receipt, "if not is_printable(version):", "if False:"),
    ],
    "config": [
        (ota.config, "if basic and bearer:", "if False:"),
        (ota.config, "not is_printable(value) or ", ""),
        (ota.config, '"trial_window_s", 30', '"trial_window_s", 29'),
    ],
    "http": [(ota.http, 'or value.lower() != b"chunked"', "")],
    "url": [(ota.http, "< int(port) < 65536", "< int(port)")],
    "pins": [(ota.pins, "0x80", "0x40")],
}


def functions(names) -> dict:
    """The functions of a module and of its classes, by name."""
    found = {}
    for name, value in names.items():
        members = vars(value) if isinstance(value, type) else {"": value}
        for inner, function in members.items():
            if isinstance(function, types.FunctionType):
                found[name, inner] = function
    return found


@contextlib.contextmanager
def replaced(module, old, new):
    """The module with this text instead of that, for whoever imported from it, too."""
    text = Path(module.__file__).read_text()
    assert old in text, f"{module.__name__} has no {old!r}"
    made = {"__name__": module.__name__, "__package__": module.__package__}
    exec(compile(text.replace(old, new), module.__file__, "exec"), made)
    here, there = functions(vars(module)), functions(made)
    codes = {name: function.__code__ for name, function in here.items()}
    numbers = {name: value for name, value in vars(module).items() if type(value) is int}
    try:
        vars(module).update({name: made[name] for name in numbers})
        for name, function in here.items():
            function.__code__ = there[name].__code__
        yield
    finally:
        vars(module).update(numbers)
        for name, function in here.items():
            function.__code__ = codes[name]


@pytest.mark.parametrize(
    ("name", "module", "old", "new"),
    [(name, *change) for name, changes in BROKEN.items() for change in changes],
    ids=lambda value: getattr(value, "__name__", value),
)
def test_a_rule_that_is_gone_is_found(name, module, old, new):
    with replaced(module, old, new):
        assert any(wrong(name, data) for data in seeds_and_kept(name))


def test_every_target_can_go_red():
    assert set(BROKEN) == set(TARGETS)
