"""CPython and every VM say the same of the same bytes: the kept corpus, and each other's documents."""

import json
import runpy
import sys
from pathlib import Path

import pytest
import verdicts
from test_portable_on_vm import commands, run_all

from ota import jws, manifest
from ota_tools import trust as trust_store
from ota_tools.envelope import encode_json, seal

TESTS = Path(__file__).parents[1]
CORPUS = TESTS / "data" / "corpus"
MAKE = runpy.run_path(str(CORPUS / "make.py"))
CODE = "import sys; sys.path[:0] = %r; import verdicts; verdicts.main(*%r)"
PATHS = [str(TESTS.parent / "lib"), str(TESTS / "portable")]


@pytest.fixture(scope="module")
def vms():
    return {name: command for name, command in commands().items() if command[0] != sys.executable}


def on_all(vms, folder, *arguments) -> dict[str, list[str]]:
    """The lines that `verdicts.main` prints on each VM."""
    code = CODE % (PATHS, arguments)
    named = {name: [*command, "-c", code] for name, command in vms.items()}
    lines = {}
    for name, (exit_code, out, err) in run_all(named, folder).items():
        assert (exit_code, err) == (0, ""), (name, out[-2000:] + err)
        lines[name] = out.splitlines()
    return lines


def write_cases(path: Path, cases) -> None:
    path.write_text("".join(f"{parser} {data.hex()}\n" for parser, data in cases))


def kept() -> dict[str, list[bytes]]:
    """The inputs of the corpus, by parser."""
    texts = {path.stem: path.read_text() for path in sorted(CORPUS.glob("*.json"))}
    return {parser: MAKE["expand"](json.loads(text)) for parser, text in texts.items()}


def test_the_corpus_is_what_its_script_makes():
    made = MAKE["files"]()
    assert made == {path.name: path.read_text() for path in CORPUS.glob("*.json")}
    assert sum(map(len, made.values())) < 320_000


def test_every_parser_has_a_corpus_with_good_and_bad_inputs():
    corpus = kept()
    assert set(corpus) == set(verdicts.PARSERS)
    for parser, inputs in corpus.items():
        assert len(set(inputs)) == len(inputs) < 500
        found = {verdicts.verdict(parser, data) for data in inputs}
        assert len(found) > 2, parser
        assert any(verdict.startswith("ok ") for verdict in found), parser


def test_no_parser_lets_another_exception_out():
    for parser, inputs in kept().items():
        for data in inputs:
            assert not verdicts.verdict(parser, data).startswith(verdicts.BUG), (parser, data)


def test_all_interpreters_say_the_same_of_the_corpus(vms, tmp_path, capsys):
    cases = [(parser, data) for parser, inputs in kept().items() for data in inputs]
    write_cases(tmp_path / "cases", cases)
    here = verdicts.verdicts(cases)
    for name, there in on_all(vms, tmp_path, "read", str(tmp_path / "cases")).items():
        assert len(there) == len(cases), name
        differing = [
            f"{parser} {data!r}: CPython {mine!r}, {name} {theirs!r}"
            for (parser, data), mine, theirs in zip(cases, here, there, strict=True)
            if mine != theirs
        ]
        assert differing == []
        with capsys.disabled():
            print(f"\nverdicts: {len(cases)} equal on CPython and {name}", end="")


def test_what_one_interpreter_signs_means_the_same_to_the_others(vms, tmp_path):
    written = {"CPython": verdicts.documents()}
    for name, lines in on_all(vms, tmp_path, "write").items():
        pairs = [line.split(" ") for line in lines]
        written[name] = [(parser, bytes.fromhex(digits)) for parser, digits in pairs]
    cases = [case for documents in written.values() for case in documents]
    write_cases(tmp_path / "cases", cases)
    wanted = verdicts.verdicts(written["CPython"])
    assert all(verdict.startswith("ok ") for verdict in wanted), wanted
    read = on_all(vms, tmp_path, "read", str(tmp_path / "cases"))
    for reader, found in {"CPython": verdicts.verdicts(cases), **read}.items():
        for i, writer in enumerate(written):
            part = found[i * len(wanted) : (i + 1) * len(wanted)]
            assert part == wanted, (writer, reader)


def test_what_the_host_tools_sign_every_vm_reads(vms, tmp_path, root_key, release_key):
    parsers = ("release", "trust")
    image = verdicts.make_image(3000)
    fields = verdicts.manifest_fields(image, notes="\u00e9\u20ac\n", library=[1, 2])
    release = seal(jws.MANIFEST, encode_json(fields), [release_key], manifest.LIMIT)
    urls = ["https://a.example/m"]
    store = trust_store.make_first([root_key], [release_key.public_key()], 1, urls, [b"DER"])
    cases = list(zip(parsers, (release, store), strict=True))
    write_cases(tmp_path / "cases", cases)
    here = verdicts.verdicts(cases)
    assert all(verdict.startswith("ok ") for verdict in here), here
    for name, there in on_all(vms, tmp_path, "read", str(tmp_path / "cases")).items():
        assert there == here, name
