"""`ota trust`: stores that follow each other, several people who sign, and docs/keys.md run as it stands."""

import json
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ota import strict
from ota import trust as device
from ota_tools import certificates, keys
from ota_tools import trust as maker
from ota_tools.board.image_maker import make_image
from ota_tools.cli import cli
from ota_tools.failures import Refused, Usage
from ota_tools.trust import Change, Terms

ROOT = Path(__file__).parents[2]
DATA = ROOT / "tests" / "data" / "openssl"
URL = "https://updates.example/v2-esp32.manifest"
NAMES = ("--product", "sensor", "--board", "v2", "--version", "1.1")


@pytest.fixture(scope="module")
def more(tmp_path_factory):
    """P-256 keys, private: a, b, c, d, e."""
    folder = tmp_path_factory.mktemp("more")
    return {name: keys.generate(folder / f"{name}.pem", "p256") for name in "abcde"}


@pytest.fixture(scope="module")
def template(tmp_path_factory, pem, more):
    """Keys, their public halves, and a store of two of three root keys and one release key."""
    folder = tmp_path_factory.mktemp("template")
    privates = {"root1": "root", "root2": "root2", "release": "release", "stranger": "stranger"}
    loaded = {name: keys.load_private(pem(source)) for name, source in privates.items()} | more
    for name, key in loaded.items():
        data = pem_of(key) if name in more else pem(privates[name]).read_bytes()
        keep(folder / f"{name}.pem", data)
        (folder / f"{name}.pem.pub").write_bytes(keys.public_pem(key.public_key()))
    roots = [loaded[name] for name in ("root1", "root2", "a")]
    store = maker.make_first(roots, [loaded["release"].public_key()], 2, [URL])
    (folder / "ota_trust.json").write_bytes(store)
    return folder


@pytest.fixture
def scene(tmp_path, monkeypatch, template):
    """A folder of one's own with all of that."""
    shutil.copytree(template, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def keep(path, data):
    path.touch(0o600)
    path.write_bytes(data)


def pem_of(key):
    from cryptography.hazmat.primitives import serialization as s

    return key.private_bytes(s.Encoding.PEM, s.PrivateFormat.PKCS8, s.NoEncryption())


def kid(path):
    return keys.kid(keys.load_public(Path(f"{path}.pub")))


def store(path):
    """The store as a device reads it."""
    return device.load(Path(path).read_bytes())


def accepted(new, old="ota_trust.json"):
    """The store as a device takes it that has the old one."""
    return device.succeed(store(old), Path(new).read_bytes())


def fields(path):
    return json.loads(Path(path).read_bytes().partition(b"\n")[2])


BOTH = ("--key", "root1.pem", "--key", "a.pem")


# Number 1


def test_one_root_key_is_refused_with_what_it_means(ota, scene):
    init = ("trust", "init", "--root", "root1.pem", "--release", "release.pem.pub", "-o", "t.json")
    text = ota(*init).line()
    assert "owns the devices" in text and "lost" in text and "--single-key" in text
    assert not (scene / "t.json").exists()
    assert ota(*init, "--single-key", "--json").json()["complete"] is True
    assert store("t.json").root.threshold == 1


def test_init_says_what_it_was_told(ota, scene):
    paths = certificates.ensure(scene / "tls", ["localhost"])
    before = int(time.time())
    said = ota(
        *("trust", "init", "--root", "root1.pem", "--root", "a.pem", "--threshold", "2"),
        *("--release", "release.pem.pub", "--release", "b.pem.pub", "--release-threshold", "2"),
        *("--url", URL, "--tls-root", paths.ca_pem, "--sequence-floor", "7", "--bare-images"),
        *("--expires-days", "2", "-o", "t.json", "--json"),
    ).json()
    made = store("t.json")
    assert (made.number, made.root.threshold, made.release.threshold) == (1, 2, 2)
    assert [key.alg for key in made.root.keys.values()] == ["PS256", "ES256"]
    assert list(made.release.keys) == [kid("release.pem"), kid("b.pem")]
    assert (made.sequence_floor, made.sequence_epoch, made.bare_images) == (7, 0, True)
    assert 0 <= made.expires - before - 2 * 86400 <= 60
    assert made.manifest_urls == [URL] and made.tls_roots == [paths.ca_der.read_bytes()]
    assert said["complete"] and said["root"]["threshold"] == 2
    assert said["tls_roots"][0]["subject"] == "CN=ota authority"
    assert said["tls_roots"][0]["expires"].endswith("UTC")
    assert [s["verdict"] for s in said["signed_by"]] == ["good", "good"]


def test_init_of_several_machines_is_a_draft_until_enough_have_signed(ota, scene):
    roots = [word for name in ("root1", "root2", "a") for word in ("--root", f"{name}.pem.pub")]
    init = ("trust", "init", *roots, "--threshold", "2", "--release", "release.pem.pub")
    call = ota(*init, "-o", "t.json", "--json")
    assert call.json()["complete"] is False and "is a draft, no device takes it" in call.err
    for args in (("trust", "set", "t.json", "--bare-images"), ("release", "t.json", *NAMES)):
        extra = ("--trust", "t.json") if args[0] == "release" else ()
        text = ota(*args, *extra, *BOTH).line()
        assert "t.json is a draft" in text and "`ota trust sign t.json --key …` first" in text
    said = ota("trust", "sign", "t.json", "--key", "a.pem", "--json").json()
    assert said["missing"] == [
        f"root of number 1: 1 more of {kid('root1.pem')}, {kid('root2.pem')}"
    ]
    # The same call again, with a key more, completes it as well.
    assert ota(*init, "-o", "t.json", "--key", "root2.pem", "--json").json()["complete"]
    assert store("t.json").root.threshold == 2


# Number N + 1


def test_release_key_is_added(ota, scene):
    said = ota("trust", "add", "ota_trust.json", "--release", "b.pem.pub", *BOTH, "--json").json()
    assert said["file"] == "trust-2.json" and said["complete"]
    assert said["changes"] == [f"release key {kid('b.pem')} comes"]
    made = accepted("trust-2.json")
    assert made.number == 2 and list(made.release.keys) == [kid("release.pem"), kid("b.pem")]
    assert made.manifest_urls == [URL] and made.sequence_epoch == 0


def test_release_key_is_removed_by_file_or_by_the_first_digits_of_its_kid(ota, scene):
    ota("trust", "add", "ota_trust.json", "--release", "b.pem.pub", *BOTH)
    for name in ("release.pem.pub", kid("release.pem")[:8], kid("release.pem").upper()):
        remove = ("trust", "remove", "trust-2.json", "--release", name, *BOTH)
        said = ota(*remove, "-o", "out.json", "--json").json()
        assert said["changes"] == [f"release key {kid('release.pem')} goes"]
        made = accepted("out.json", "trust-2.json")
        assert list(made.release.keys) == [kid("b.pem")] and made.sequence_epoch == 0
        assert len(fields("out.json")["keys"]) == 4
        Path("out.json").unlink()


def test_rotated_release_key_frees_devices_of_a_sequence_far_ahead(ota, scene):
    rotate = ("trust", "rotate", "ota_trust.json", "--release", "release.pem.pub", "b.pem.pub")
    assert "needs --sequence-floor" in ota(*rotate, *BOTH, "--forget-sequences").line()
    ota(*rotate, *BOTH, "--forget-sequences", "--sequence-floor", "40")
    made = accepted("trust-2.json")
    assert (made.sequence_epoch, made.sequence_floor) == (1, 40)
    assert list(made.release.keys) == [kid("b.pem")]
    # With a lower floor only once more.
    back = ("trust", "set", "trust-2.json", "--sequence-floor", "3", *BOTH)
    assert "goes only with --forget-sequences" in ota(*back).line()
    again = ("trust", "rotate", "trust-2.json", "--release", kid("b.pem"), "c.pem")
    ota(*again, *BOTH, "--forget-sequences", "--sequence-floor", "3")
    made = accepted("trust-3.json", "trust-2.json")
    assert (made.sequence_epoch, made.sequence_floor) == (2, 3)


def test_forgetting_sequences_is_for_release_keys_that_go(ota, scene):
    remove = ("trust", "remove", "ota_trust.json", "--root", "a.pem.pub", *BOTH)
    text = ota(*remove, "--forget-sequences", "--sequence-floor", "3").line()
    assert "without a release key that goes" in text


def test_root_keys_are_rotated_by_old_and_new_ones(ota, scene):
    rotate = ("trust", "rotate", "ota_trust.json", "--root", "root1.pem.pub", "b.pem.pub")
    said = ota(*rotate, "--key", "root1.pem", "--key", "root2.pem", "--json").json()
    # Two of the old ones have signed; of the new ones only root2.
    assert said["missing"] == [f"root of number 2: 1 more of {kid('a.pem')}, {kid('b.pem')}"]
    assert ota("trust", "show", "trust-2.json", "--after", "ota_trust.json").code == 1
    assert ota("trust", "sign", "trust-2.json", "--key", "b.pem", "--json").json()["complete"]
    assert accepted("trust-2.json").number == 2
    # And without the number before it: of the key that went nothing is said.
    said = ota("trust", "show", "trust-2.json", "--json").json()
    verdicts = {s["kid"]: s["verdict"] for s in said["signed_by"]}
    assert verdicts[kid("root1.pem")] == "no root key here" and said["complete"]
    assert verdicts[kid("b.pem")] == verdicts[kid("root2.pem")] == "good"
    # It is a store to go on from.
    ota("trust", "set", "trust-2.json", "--no-bare-images", "--sequence-floor", "1",
        "--key", "b.pem", "--key", "root2.pem")  # fmt: skip
    assert accepted("trust-3.json", "trust-2.json").sequence_floor == 1


def test_several_people_on_several_machines_complete_a_draft(ota, scene, tmp_path):
    ota("trust", "rotate", "ota_trust.json", "--release", "release.pem.pub", "b.pem.pub")
    draft = Path("trust-2.json").read_bytes()
    assert draft.startswith(b'{"signatures":[]}\n')
    for name in ("x", "y"):  # each has the draft and the store before it, and one key
        (scene / name).mkdir()
        (scene / name / "ota_trust.json").write_bytes(Path("ota_trust.json").read_bytes())
    (scene / "x" / "trust-2.json").write_bytes(draft)
    assert ota("trust", "sign", "x/trust-2.json", "--key", "root2.pem").code == 0
    (scene / "y" / "trust-2.json").write_bytes((scene / "x" / "trust-2.json").read_bytes())
    line = "openssl dgst -sha256 -sign a.pem"
    said = ota("trust", "sign", "y/trust-2.json", "--signer", "a.pem.pub", line, "--json").json()
    assert said["complete"] and said["changes"]
    assert accepted("y/trust-2.json").number == 2
    # Signed twice by one key is signed once.
    before = (scene / "x" / "trust-2.json").read_bytes()
    assert ota("trust", "sign", "x/trust-2.json", "--key", "root2.pem").code == 0
    assert (scene / "x" / "trust-2.json").read_bytes() == before
    # Once complete it stays what it is: it may be published.
    before = (scene / "y" / "trust-2.json").read_bytes()
    call = ota("trust", "sign", "y/trust-2.json", "--key", "root1.pem")
    assert call.code == 0 and "is complete: nothing was signed" in call.err
    assert (scene / "y" / "trust-2.json").read_bytes() == before


def test_sign_needs_the_store_before_it(ota, scene):
    (scene / "away").mkdir()
    ota("trust", "set", "ota_trust.json", "--bare-images", "-o", "away/trust-2.json")
    sign = ("trust", "sign", "away/trust-2.json", *BOTH)
    text = ota(*sign).line()
    assert "--after" in text and "trust-1.json or ota_trust.json is not beside it" in text
    assert ota(*sign, "--after", "ota_trust.json", "--json").json()["complete"]
    ota("trust", "set", "away/trust-2.json", "--no-bare-images", *BOTH)
    assert ota("trust", "sign", "away/trust-3.json", "--key", "a.pem").code == 0
    text = ota("trust", "sign", "away/trust-3.json", "--key", "a.pem", "--after", "ota_trust.json")
    assert "this is number 3, after number 1" in text.line()


def test_key_of_neither_root_role_does_not_sign(ota, scene):
    for name in ("stranger.pem", "release.pem", "b.pem"):
        text = ota("trust", "set", "ota_trust.json", "--bare-images", "--key", name).line()
        assert "is no root key: root of number 1 or root of number 2 has others" in text
    assert not Path("trust-2.json").exists()


def test_damaged_signature_in_a_draft_is_named(ota, scene):
    ota("trust", "set", "ota_trust.json", "--bare-images", "--key", "a.pem")
    line, _, payload = Path("trust-2.json").read_bytes().partition(b"\n")
    entry = json.loads(line)
    text = entry["signatures"][0]["signature"]
    entry["signatures"][0]["signature"] = ("A" if text[0] != "A" else "B") + text[1:]
    Path("trust-2.json").write_bytes(json.dumps(entry).encode() + b"\n" + payload)
    refused = ota("trust", "sign", "trust-2.json", "--key", "root1.pem").line()
    assert f"a signature of {kid('a.pem')} (wrong)" in refused
    said = ota("trust", "show", "trust-2.json", "--json").json()
    assert said["signed_by"] == [{"kid": kid("a.pem"), "verdict": "wrong"}]
    assert not said["complete"]


def test_terms_that_are_not_named_stay_with_fields_that_we_do_not_know(ota, scene):
    known = fields("ota_trust.json") | {"later": {"deep": [1, 2]}, "expires": 5}
    signers = [keys.load_private(scene / f"{name}.pem") for name in ("root1", "root2")]
    payload = json.dumps(known).encode()
    draft = maker.sign(b'{"signatures":[]}\n' + payload, signers)
    Path("ota_trust.json").write_bytes(draft)
    ota("trust", "set", "ota_trust.json", "--bare-images", *BOTH)
    assert fields("trust-2.json") == known | {"number": 2, "bare_images": True}
    ota("trust", "set", "trust-2.json", "--expires-days", "0", "--url", "https://new/x", *BOTH)
    found = fields("trust-3.json")
    assert found["expires"] == 0 and found["manifest_urls"] == ["https://new/x"]
    assert found["later"] == {"deep": [1, 2]}


def test_tls_roots_are_replaced(ota, scene):
    paths = certificates.ensure(scene / "tls", ["localhost"])
    said = ota(
        "trust", "set", "ota_trust.json", "--tls-root", paths.ca_der, *BOTH, "--json"
    ).json()
    assert said["changes"] == ["TLS root CN=ota authority comes"]
    assert accepted("trust-2.json").tls_roots == [paths.ca_der.read_bytes()]


def test_single_key_is_said_where_a_threshold_falls_to_one(ota, scene):
    lower = ("trust", "set", "ota_trust.json", "--threshold", "1", *BOTH)
    assert "owns the devices" in ota(*lower).line()
    ota(*lower, "--single-key")
    assert accepted("trust-2.json").root.threshold == 1
    assert ota("trust", "set", "trust-2.json", "--bare-images", "--key", "a.pem").code == 0


def test_nothing_is_written_over(ota, scene):
    first = ("trust", "set", "ota_trust.json", "--bare-images", "--key", "a.pem")
    ota(*first)
    before = Path("trust-2.json").read_bytes()
    text = ota("trust", "set", "ota_trust.json", "--sequence-floor", "9", *BOTH).line()
    assert "trust-2.json exists and says something else" in text
    assert Path("trust-2.json").read_bytes() == before
    # The same again is the draft being completed.
    assert ota(*first[:4], "--key", "root1.pem", "--json").json()["complete"]
    assert accepted("trust-2.json").bare_images


def test_draft_is_replaced_by_rename(ota, scene, monkeypatch):
    ota("trust", "set", "ota_trust.json", "--bare-images", "--key", "a.pem")
    before = Path("trust-2.json").read_bytes()
    monkeypatch.setattr("os.replace", lambda *args: (_ for _ in ()).throw(KeyboardInterrupt))
    assert ota("trust", "sign", "trust-2.json", "--key", "root1.pem").code == 130
    assert Path("trust-2.json").read_bytes() == before


ARITHMETIC = [
    ("remove ota_trust.json --release release.pem.pub", 2, "no release key would be left"),
    ("remove ota_trust.json --root a.pem --root root1.pem", 2, "threshold 2 of 1 root keys"),
    ("remove ota_trust.json --root release.pem", 1, "is no root key: number 1 has the root keys"),
    ("remove ota_trust.json --root 00000000", 1, "names 0 root keys"),
    ("remove ota_trust.json --root 0000000", 2, "8 to 64 hex digits"),
    ("remove ota_trust.json --root none.pem", 2, "is no file"),
    ("set ota_trust.json --threshold 4", 2, "threshold 4 of 3 root keys"),
    ("set ota_trust.json --threshold 0", 2, "threshold 0 of 3 root keys"),
    ("set ota_trust.json --release-threshold 2", 2, "change --release-threshold or add keys"),
    ("set ota_trust.json --url http://x/y", 1, "https://"),
    ("set ota_trust.json --tls-root a.pem", 1, "not a certificate"),
    ("add ota_trust.json --release release.pem", 2, "is there already"),
    ("add ota_trust.json --release root1.pem", 2, "root and release keys must differ"),
    ("add ota_trust.json --release b.pem --release b.pem.pub", 2, "given twice"),
    ("add ota_trust.json --root b.pem --root c.pem --threshold 5", 2, "at most 4 signatures"),
    ("rotate ota_trust.json --root b.pem c.pem", 1, "b.pem"),
]


@pytest.mark.parametrize(("line", "code", "fact"), ARITHMETIC, ids=[row[0] for row in ARITHMETIC])
def test_what_cannot_work_is_refused_with_the_arithmetic(ota, scene, snapshot, line, code, fact):
    before = snapshot(scene)
    call = ota("trust", *line.split(), *BOTH)
    assert (call.code, call.out) == (code, "")
    assert fact in call.line()
    assert snapshot(scene) == before


def test_change_that_needs_more_signatures_than_devices_read_is_refused(more):
    roots = [more[name] for name in "abc"]
    first = maker.make_first(roots, [more["d"].public_key()], 3)
    names = "abc"
    gone = [keys.kid(more[name].public_key()) for name in names]
    change = Change({"root": [_new() for _ in range(3)]}, {"root": gone})
    with pytest.raises(
        Usage, match="3 old and 3 new root keys must sign, 0 can count for both: 6"
    ):
        maker.follow(first, change)
    change = Change({"root": [_new()]}, {"root": gone[:1]})
    assert device.read(maker.follow(first, change)).number == 2  # 3 + 3 - 2


def _new():
    from cryptography.hazmat.primitives.asymmetric import ec

    return ec.generate_private_key(ec.SECP256R1()).public_key()


def test_more_keys_than_a_device_reads_are_refused(more):
    first = maker.make_first([more["a"]], [more["b"].public_key()])
    with pytest.raises(Refused, match="keys has 9 items, at most 8"):
        maker.follow(first, Change({"release": [_new() for _ in range(7)]}))


def test_no_more_signatures_than_devices_read(more):
    publics = [more[name].public_key() for name in "abcde"]
    draft = maker.first(publics, [_new()], Terms(threshold=4))
    with pytest.raises(Refused, match="at most 4 signatures"):
        maker.sign(draft, [more[name] for name in "abcde"])
    signed = maker.sign(draft, [more[name] for name in "abcd"])
    assert maker.missing(signed) == [] and maker.check(signed).root.threshold == 4


def test_key_under_a_false_name_is_not_signed(more):
    """The device takes a kid as a name; who makes a store looks."""
    first = maker.make_first([more["a"]], [more["b"].public_key()])
    names = [keys.kid(more[name].public_key()).encode() for name in "bc"]
    swapped = first.replace(*names)
    with pytest.raises(Refused, match=r"is called .*: do not sign this store"):
        maker.sign(swapped, [more["a"]])
    with pytest.raises(Refused, match=r"is called .*: do not sign this store"):
        maker.missing(swapped)


def test_keys_of_a_store_are_named_by_their_digest(more):
    first = maker.make_first([more["a"]], [more["b"].public_key()])
    for entry in strict.loads(maker.payload_of(first), device.LIMIT)["keys"]:
        assert set(entry) == {"kid", "alg", "x", "y"}
    assert [entry["kid"] for entry in maker.fields_of(first)["keys"]] == [
        keys.kid(more[name].public_key()) for name in "ab"
    ]


def test_store_by_openssl_is_shown_and_goes_on(ota, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    said = ota("trust", "show", DATA / "trust.json", "--json").json()
    assert said["complete"] and {s["verdict"] for s in said["signed_by"]} == {"good"}
    said = ota("trust", "show", DATA / "trust-one-signature.json", "--json").json()
    assert not said["complete"] and "1 more of" in said["missing"][0]


def test_show_tells_people_the_first_digits(ota, scene):
    call = ota("trust", "show", "ota_trust.json")
    assert kid("a.pem")[:16] in call.out and kid("a.pem") not in call.out
    assert "2 of 3 must sign" in " ".join(call.out.split())
    assert "complete yes" in " ".join(call.out.split())


def test_manifest_is_no_trust_store(ota, scene):
    assert "not a trust store" in ota("trust", "show", DATA / "release.manifest").line()


# Releases of a rotated store


@pytest.fixture
def chain(ota, scene, app):
    """app.bin, trust-2.json and trust-3.json: release key b since number 2."""
    Path("app.bin").write_bytes(app)
    ota("trust", "rotate", "ota_trust.json", "--release", "release.pem", "b.pem", *BOTH)
    ota("trust", "set", "trust-2.json", "--sequence-floor", "12", *BOTH)
    return scene


def test_release_names_its_store_and_brings_it_along(ota, chain):
    release = ("release", "app.bin", *NAMES, "--key", "b.pem", "--trust")
    said = ota(*release, "trust-2.json", "--json").json()
    assert said["trust"] == 2 and said["sequence"] == 1
    assert Path("published/trust-2.json").read_bytes() == Path("trust-2.json").read_bytes()
    said = ota(*release, "trust-3.json", "--json").json()
    assert said["trust"] == 3 and said["sequence"] == 12  # the floor
    assert {path.name for path in Path("published").iterdir()} == {
        "trust-2.json",
        "trust-3.json",
        "v2-esp32.manifest",
        *(path.name for path in Path("published").glob("*.bin")),
    }
    assert fields("published/v2-esp32.manifest")["trust"] == 3


def test_release_of_the_first_store_names_it_and_copies_nothing(ota, chain):
    said = ota(
        *("release", "app.bin", *NAMES, "--key", "release.pem", "--json"),
        *("--trust", "ota_trust.json"),
    ).json()
    assert said["trust"] == 1 and not list(Path("published").glob("*.json"))
    said = ota("release", "app.bin", *NAMES, "--key", "release.pem", "--json").json()
    assert "trust" not in fields("published/v2-esp32.manifest")
    assert said["trust"] == "names no trust store"


def test_release_without_the_stores_in_between_is_refused(ota, chain, snapshot):
    release = ("release", "app.bin", *NAMES, "--key", "b.pem", "--trust", "trust-3.json")
    text = ota(*release).line()
    assert "published/trust-2.json is missing" in text
    assert "a device that has number 1 takes number 2 before 3" in text
    assert not Path("published").exists()
    Path("published").mkdir()
    # Another number 2 than the one that 3 follows: its root role did not sign 3.
    other = maker.make_first([keys.load_private(chain / "e.pem")], [_new()])
    for data, fact in (
        (b"junk", "envelope-format"),
        (Path("ota_trust.json").read_bytes(), "1 follows 1"),
        (other, "1 follows 1"),
        (Path("trust-3.json").read_bytes(), "3 follows 1"),
    ):
        Path("published/trust-2.json").write_bytes(data)
        before = snapshot(chain)
        assert fact in ota(*release).line()
        assert snapshot(chain) == before


def test_release_of_a_store_that_does_not_follow_the_first_is_refused(ota, chain, snapshot):
    """Its own root role has signed it, and that of number 1 has not: no device would take it."""
    roots = [word for name in "bc" for word in ("--root", f"{name}.pem")]
    ota("trust", "init", *roots, "--threshold", "2", "--release", "d.pem", "-o", "other.json")
    ota("trust", "set", "other.json", "--bare-images", "--key", "b.pem", "--key", "c.pem",
        "-o", "number2.json")  # fmt: skip
    release = ("release", "app.bin", *NAMES, "--key", "d.pem", "--trust", "number2.json")
    before = snapshot(chain)
    assert "number2.json does not follow ota_trust.json" in ota(*release).line()
    assert snapshot(chain) == before
    (chain / "away").mkdir()
    Path("away/number2.json").write_bytes(Path("number2.json").read_bytes())
    away = (*release[:-1], "away/number2.json")
    before = snapshot(chain)
    assert "signature" in ota(*away, "--first", "ota_trust.json").line()
    assert snapshot(chain) == before
    # With nobody to ask it is said.
    call = ota(*away)
    assert call.code == 0 and "whether number 2 follows number 1 was not checked" in call.err
    assert ota(*away, "--first", "other.json").err == ""
    # Nothing is made out of it either.
    text = ota("trust", "set", "number2.json", "--no-bare-images", "--key", "b.pem").line()
    assert "number2.json does not follow ota_trust.json" in text


def test_release_of_an_older_store_than_the_folder_has_is_refused(ota, chain):
    release = ("release", "app.bin", *NAMES, "--key", "b.pem", "--trust")
    for name in ("trust-2.json", "trust-3.json"):
        assert ota(*release, name).code == 0
    text = ota(*release, "trust-2.json").line()
    assert "trust-3.json is newer than the trust store given, number 2" in text


def test_release_with_another_store_of_the_same_number_is_refused(ota, chain, snapshot):
    ota("release", "app.bin", *NAMES, "--key", "b.pem", "--trust", "trust-2.json")
    ota("trust", "rotate", "ota_trust.json", "--release", "release.pem", "b.pem",
        "--bare-images", *BOTH, "-o", "other.json")  # fmt: skip
    before = snapshot(chain)
    text = ota("release", "app.bin", *NAMES, "--key", "b.pem", "--trust", "other.json").line()
    assert "trust-2.json differs" in text and "never replaced" in text
    assert snapshot(chain) == before


def test_release_of_two_keys(ota, chain):
    ota("trust", "add", "trust-3.json", "--release", "c.pem", "--release-threshold", "2", *BOTH)
    for name in ("trust-2.json", "trust-3.json"):
        ota("release", "app.bin", *NAMES, "--key", "b.pem", "--trust", name)
    release = ("release", "app.bin", *NAMES, "--trust", "trust-4.json", "--key", "b.pem")
    text = ota(*release).line()
    assert "1 release keys sign, the trust store asks for 2 of" in text
    said = ota(*release, "--key", "c.pem", "--json").json()
    assert said["verified"] == "signed for trust-4.json" and len(said["signatures"]) == 2
    assert "given twice" in ota(*release, "--key", "b.pem").line()
    assert "no release key" in ota(*release, "--key", "a.pem").line()


# Secrets


def test_no_output_holds_key_material_or_a_passphrase(ota, chain, monkeypatch):
    passphrase = "zebra-quartz-9931"
    monkeypatch.setenv(keys.PASSPHRASE, passphrase)
    ota("keygen", "locked.pem", "--encrypt", "--alg", "p256")
    keep(Path("damaged.pem"), Path("root1.pem").read_bytes().replace(b"A", b"B", 3))
    keep(Path("cut.pem"), Path("locked.pem").read_bytes()[:200] + b"\n-----END ENCRYPTED PRIVATE")
    release = ("release", "app.bin", *NAMES)
    leak = "sh -c 'tail -n +2 root1.pem; tail -n +2 root1.pem >&2; exit 1'"
    echo = "sh -c 'cat root1.pem'"
    last = "sh -c 'sed -n 5p root1.pem >&2; exit 1'"
    calls = [
        ("keygen", "new.pem", "--alg", "p256"),
        ("keygen", "root1.pem"),
        ("keygen", "none/x.pem"),
        ("trust", "init", "--root", "root1.pem", "--root", "locked.pem", "--threshold", "2",
         "--release", "b.pem", "-o", "t.json", "--json"),
        ("trust", "set", "t.json", "--bare-images", "--key", "locked.pem", "--key", "root1.pem"),
        ("trust", "show", "trust-3.json", "--after", "trust-2.json"),
        ("trust", "show", "root1.pem"),
        ("trust", "sign", "root1.pem", "--key", "root1.pem"),
        ("inspect", "root1.pem"),
        ("inspect", "locked.pem"),
        (*release, "--key", "damaged.pem"),
        (*release, "--key", "cut.pem"),
        (*release, "--key", "root1.pem", "--trust", "root1.pem"),
        (*release, "--key", "b.pem", "--json", "--trust", "trust-2.json"),
        *((*release, "--signer", "root1.pem.pub", line) for line in (leak, echo, last)),
        ("release", "root1.pem", *NAMES, "--key", "b.pem"),
        ("trust", "remove", "ota_trust.json", "--root", "root1.pem", "--tls-root", "a.pem"),
        ("flash", "none", "--output", "f", *NAMES, "--trust", "root1.pem"),
    ]  # fmt: skip
    said = "".join(call.out + call.err for call in (ota(*args) for args in calls))
    monkeypatch.setenv(keys.PASSPHRASE, "not-that-one-4711")
    wrong = ota("trust", "set", "t.json", "--bare-images", "--key", "locked.pem", "-o", "w.json")
    assert wrong.code == 1
    said += wrong.err
    said = "".join(said.split())
    assert passphrase not in said and "not-that-one-4711" not in said
    for path in Path().glob("*.pem"):
        lines = path.read_text().split()
        for line in (line for line in lines if len(line) > 16 and "-----" not in line):
            for at in range(0, len(line) - 15, 8):
                assert line[at : at + 16] not in said, (path, line)
    for name in ("root1", "a", "b"):
        numbers = keys.load_private(Path(f"{name}.pem")).private_numbers()
        for secret in ("d", "p", "q", "private_value"):
            value = getattr(numbers, secret, None)
            if value:
                assert f"{value:x}"[:32] not in said and str(value)[:32] not in said


# The page


def test_every_command_of_the_page_works_as_it_stands(scene, app, more, tmp_path):
    page = (ROOT / "docs" / "keys.md").read_text()
    blocks = re.findall(r"```sh\n(.*?)```", page, re.DOTALL)
    assert len(blocks) >= 6
    here = tmp_path / "page"
    here.mkdir()
    (here / "firmware.bin").write_bytes(make_image({}, 50_000, "x"))
    script = here / "page.sh"
    script.write_text("set -eu\n" + "".join(blocks))
    environment = {
        "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin",
        "PYTHONPATH": ":".join(sys.path),
        "OTA_KEY_PASSPHRASE": "a long one",
        "TOKEN": "a long one",
    }
    done = subprocess.run(
        ["sh", "page.sh"], cwd=here, env=environment, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stdout + done.stderr
    newest = max(here.glob("trust-*.json"), key=lambda path: int(path.stem[6:]))
    assert fields(here / "published" / "v2-esp32.manifest")["trust"] == int(newest.stem[6:])
    # Options that the text names are there.
    options = [parameter for command in _all(cli) for parameter in command.params]
    there = {name for option in options for name in (*option.opts, *option.secondary_opts)}
    assert set(re.findall(r"`(--[a-z-]+)", page)) <= there


def _all(command):
    yield command
    for child in getattr(command, "commands", {}).values():
        yield from _all(child)
