"""Bare images: what espsecure signed and no manifest describes, where the trust store allows it."""

import subprocess
import sys

import pytest
from publisher import OLD as RELEASE
from publisher import ROOT, SECTOR, app
from site_of import DATA, Liar, updater
from stores import Ec, Rsa, role, store

from ota import recovery, source, start, trial
from ota.errors import OtaError
from ota.health import status
from ota.strict import b64url_encode
from ota.updater import Updater
from ota_tools.serve import Server


def sign(folder, data: bytes, *pems, more=()) -> bytes:
    """`espsecure sign-data` of that, by these keys."""
    source, target = folder / "in.bin", folder / "out.bin"
    source.write_bytes(data)
    command = [sys.executable, "-m", "espsecure", "sign-data", "--version", "2"]
    for pem in pems:
        command += ["--keyfile", str(pem)]
    command += ["--output", str(target), *more, str(source)]
    subprocess.run(command, check=True, capture_output=True)
    return target.read_bytes()


class Bench:
    """A server with a file, a device whose trust store allows bare images."""

    def __init__(self, site, folder, **fields) -> None:
        self.site = site
        self.folder = folder
        tls = [site.paths.ca_der.read_bytes()]
        fields = {"tls_roots": [b64url_encode(tls[0]).decode()], "bare_images": True, **fields}
        releases = fields.pop("releases", [RELEASE])
        site.trust = store(1, [ROOT], releases, [ROOT], **fields)
        self.v = site.device(folder / "board")
        self.url = f"{site.server.url}/app-signed.bin"

    def serve(self, data: bytes) -> bytes:
        (self.site.published / "app-signed.bin").write_bytes(data)
        return data

    def signed(self, data: bytes, *pems, **more) -> bytes:
        return self.serve(sign(self.folder, data, *(pems or [DATA / "release.pem"]), **more))

    def next_store(self, release) -> bytes:
        """Trust store number 2."""
        tls = b64url_encode(self.site.paths.ca_der.read_bytes()).decode()
        return store(2, [ROOT], [release], [ROOT], tls_roots=[tls], bare_images=True)

    def install(self, url: str = "", **how) -> None:
        updater(self.v).install_image(url or self.url, **how)

    def code(self, url: str = "", touched: bool = False) -> str:
        """Of an attempt that fails: the boot slot is as it was, and no slot was touched."""
        flash = self.v.board.flash
        flash.operations.clear()
        with pytest.raises(OtaError) as e:
            self.install(url)
        slots = self.v.board.table.ota_slots
        hit = {
            slot.name
            for slot in slots
            for operation in flash.operations
            if slot.offset <= operation.address < slot.end
        }
        assert hit == ({"ota_1"} if touched else set())
        assert self.v.selected() == "ota_0"
        return e.value.code

    def slot(self) -> bytes:
        part = self.v.board.table.find("ota_1")
        return bytes(self.v.board.flash.read(part.offset, part.size))

    def confirm(self) -> None:
        self.v.reset()
        start.boot(port=self.v.port())
        assert recovery.fault == "" and self.v.running() == "ota_1"
        trial.confirm(self.v.port())


@pytest.fixture
def b(site, tmp_path):
    return Bench(site, tmp_path)


def test_an_image_signed_by_espsecure_installs_with_its_signature_sector(b, capsys):
    data = b.signed(app())
    b.install()
    assert b.slot()[: len(data)] == data  # hardware secure boot finds what it looks for
    assert "bare image" in capsys.readouterr().out
    b.confirm()
    found = status(b.v.port())
    assert (found["version"], found["sequence"], found["highest"]) == ("7.1", 0, 0)
    assert found["outcome"] == "confirmed" and not found["trial"]


def test_the_highest_sequence_stays_what_it_was(b):
    b.signed(app())
    port = b.v.port()
    from ota.journal import Journal
    from ota.memory import save_journal

    journal = Journal()
    journal.highest, journal.highest_epoch = 41, 3
    save_journal(port, journal)
    b.install()
    b.confirm()
    found = status(port)
    assert (found["highest"], found["sequence"]) == (41, 41)


def test_only_where_the_trust_store_says_so(site, tmp_path):
    b = Bench(site, tmp_path, bare_images=False)
    b.signed(app())
    assert b.code() == "bare-image"
    assert site.asked() == ["/trust-2.json"]


def test_a_key_that_was_revoked_meanwhile_signs_nothing(b):
    b.signed(app())
    new = Rsa(DATA / "stranger.pem")
    (b.site.published / "trust-2.json").write_bytes(b.next_store(new))
    assert b.code() == "signature"
    b.signed(app(), DATA / "stranger.pem")
    b.install()
    b.confirm()


def test_the_image_that_runs_is_nothing_to_do(b):
    b.signed(app())
    b.install()
    b.confirm()
    with pytest.raises(OtaError) as e:
        b.install()
    assert e.value.code == "nothing-to-do"


def test_one_that_failed_is_refused(b):
    b.signed(app())
    b.install()
    b.v.reset()
    b.v.until_quiet(lambda: start.boot(port=b.v.port()))
    b.v.until_quiet(lambda: trial.self_test([("app", lambda: False)], port=b.v.port()))
    assert b.v.running() == "ota_0"
    assert b.code() == "refused"
    b.signed(app(seed=6))
    b.install()
    b.confirm()


@pytest.mark.parametrize("releases", [[Ec()]], ids=["p256"])
def test_a_key_of_nobody_is_refused(site, tmp_path, releases):
    b = Bench(site, tmp_path, releases=releases)
    b.signed(app())
    assert b.code() == "signature"


def test_a_root_key_signs_no_image(b):
    b.signed(app(), DATA / "root.pem")
    assert b.code() == "signature"


def test_the_threshold_of_the_release_role_counts(site, tmp_path):
    second = Rsa(DATA / "root2.pem")
    both = [RELEASE, second]
    b = Bench(site, tmp_path, releases=both, release=role(*both, threshold=2))
    b.signed(app())
    assert b.code() == "signature"
    b.signed(app(), DATA / "release.pem", DATA / "root2.pem")
    b.install()
    b.confirm()


def _unsigned(b):
    return app().ljust(155648, b"\xff")


def _v1(b):
    pem = b.folder / "v1.pem"
    tool = [sys.executable, "-m", "espsecure"]
    make = ["generate-signing-key", "--version", "1", str(pem)]
    subprocess.run([*tool, *make], check=True, capture_output=True)
    source, target = b.folder / "v1.bin", b.folder / "v1-signed.bin"
    source.write_bytes(app().ljust(155648 - 68, b"\xff"))
    call = ["sign-data", "--version", "1", "--keyfile", str(pem), "--output", str(target)]
    subprocess.run([*tool, *call, str(source)], check=True, capture_output=True)
    return target.read_bytes()


def _other_curve(scheme):
    def make(b):
        pem = b.folder / f"{scheme}.pem"
        tool = [sys.executable, "-m", "espsecure", "generate-signing-key", "--version", "2"]
        call = [*tool, "--scheme", scheme, str(pem)]
        subprocess.run(call, check=True, capture_output=True)
        return sign(b.folder, app(), pem)

    return make


def _altered(at):
    def make(b):
        data = bytearray(sign(b.folder, app(), DATA / "release.pem"))
        data[at] ^= 1
        return bytes(data)

    return make


BAD = [
    ("unsigned", "signature-scheme", _unsigned, False),
    ("Secure Boot v1", "signature-scheme", _v1, False),
    ("P-192", "signature-scheme", _other_curve("ecdsa192"), False),
    ("P-384", "signature-scheme", _other_curve("ecdsa384"), False),
    ("altered signature sector", "signature", _altered(-3500), False),
    ("bytes behind the signature", "signature", _altered(-1), False),
    ("altered content", "digest-mismatch", _altered(70000), True),
    ("altered head", "digest-mismatch", _altered(100), True),
    (
        "other chip",
        "wrong-chip",
        lambda b: sign(b.folder, app(chip=9), DATA / "release.pem"),
        False,
    ),
    (
        "no image",
        "image-format",
        lambda b: sign(b.folder, b"#" * 8192, DATA / "release.pem"),
        False,
    ),
    ("too short", "image-format", lambda b: sign(b.folder, b"", DATA / "release.pem"), False),
    (
        "not whole sectors",
        "image-format",
        lambda b: sign(b.folder, app(), DATA / "release.pem") + b"\xff" * 100,
        False,
    ),
    (
        "larger than the slot",
        "image-too-large",
        lambda b: sign(b.folder, app(size=0x180000 - 4000), DATA / "release.pem"),
        False,
    ),
]


@pytest.mark.parametrize(("name", "code", "make", "touched"), BAD, ids=[row[0] for row in BAD])
def test_a_bad_bare_image_has_its_code(b, name, code, make, touched):
    b.serve(make(b))
    assert b.code(touched=touched) == code
    assert b.slot()[:16] == b"\xff" * 16 or not touched
    b.signed(app())
    b.install()
    b.confirm()


def test_another_chip_is_seen_by_the_first_part(b):
    b.signed(app(chip=9))
    assert b.code() == "wrong-chip"
    assert len(b.site.asked()) == 2  # a newer trust store, and the first part


def test_an_image_that_fills_the_slot_with_its_signature_fits(b):
    data = b.signed(app(size=0x180000 - 3 * SECTOR))
    assert len(data) > 0x180000 - 2 * SECTOR
    b.install()
    b.confirm()


def test_a_lower_secure_version_is_a_downgrade(b):
    b.v.put("ota_0", app(secure=3))
    b.signed(app(seed=6, secure=2))
    assert b.code() == "downgrade"
    b.signed(app(seed=6, secure=3))
    b.install()


def test_another_image_behind_the_one_that_was_judged_does_not_boot(b):
    # The server shows the head of an allowed one and then sends an old one, both signed.
    b.v.put("ota_0", app(secure=3))
    old = b.signed(app(seed=6, secure=2))
    new = app(seed=6, secure=3)
    flash = b.v.board.flash
    first = old[:36] + new[36:40] + old[40:]
    b.serve(first)
    real = Updater._download

    def swapped(self, *args):
        b.serve(old)
        return real(self, *args)

    Updater._download = swapped
    try:
        with pytest.raises(OtaError) as e:
            b.install()
    finally:
        Updater._download = real
    assert e.value.code == "changed"
    assert b.v.selected() == "ota_0" and flash.operations
    assert b.slot()[:16] == b"\xff" * 16


def test_a_server_without_parts_is_refused(b):
    data = b.signed(app())
    head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(data)}\r\n\r\n".encode()
    liar = Liar(b.site.paths, head + data)
    assert b.code(liar.url + "/app.bin") == "http-format"
    liar.close()


def test_a_lost_connection_is_taken_up_where_it_broke(b, monkeypatch):
    data = b.signed(app())
    broken = [True]

    def cut(done, total):
        if broken and done > 60000:
            broken.pop()
            for link in taken[0]._links:
                link.stream.close()

    from ota.source import Source

    taken = []
    real = Source.__init__

    def note(self, *args, **more):
        taken.append(self)
        real(self, *args, **more)

    monkeypatch.setattr(Source, "__init__", note)
    u = updater(b.v)
    u._config.tries = 3
    u.install_image(b.url, progress=cut)
    assert not broken
    assert b.slot()[: len(data)] == data


def test_a_download_that_was_cut_begins_anew(b):
    data = b.signed(app())
    with pytest.raises(OtaError) as e:
        b.install(progress=lambda done, total: done < 100000)
    assert e.value.code == "cancelled" and b.slot()[:16] == b"\xff" * 16
    b.install()
    assert b.slot()[: len(data)] == data
    b.confirm()


@pytest.mark.parametrize("is_home", [True, False])
def test_credentials_go_to_the_manifests_host_only(b, monkeypatch, is_home):
    paths = b.site.paths
    (b.folder / "else").mkdir()
    (b.folder / "else/trust-2.json").write_bytes(b.next_store(RELEASE))  # all is opened anew by it
    elsewhere = Server(b.folder / "else", paths.server_pem, paths.server_key, host="localhost")
    manifest_url = f"{b.site.server.url if is_home else elsewhere.url}/m"
    files = b.site.files(manifest_url=manifest_url, bearer="secret")
    b.v.root.joinpath("ota.json").write_bytes(files["/ota.json"])
    sent = []
    real = source.request

    def noted(*args):
        sent.append(real(*args))
        return sent[-1]

    monkeypatch.setattr(source, "request", noted)
    b.signed(app())
    b.install()
    elsewhere.close()
    images = [request for request in sent if b"/app-signed.bin" in request]
    assert len(images) >= 3
    assert {b"Bearer secret" in request for request in images} == {is_home}


def test_a_revoked_key_is_looked_for_where_manifests_come_from(b):
    paths = b.site.paths
    (b.folder / "else").mkdir()
    with Server(b.folder / "else", paths.server_pem, paths.server_key, host="localhost") as other:
        files = b.site.files(manifest_url=b.site.server.url + "/m")
        b.v.root.joinpath("ota.json").write_bytes(files["/ota.json"])
        newer = b.next_store(Rsa(DATA / "stranger.pem"))
        (b.site.published / "trust-2.json").write_bytes(newer)
        (b.folder / "else/app.bin").write_bytes(b.signed(app()))
        assert b.code(other.url + "/app.bin") == "signature"


def test_a_file_of_the_device_is_one_too_where_manifests_come_from_a_server(b):
    files = b.site.files(manifest_url=b.site.server.url + "/m")
    b.v.root.joinpath("ota.json").write_bytes(files["/ota.json"])
    card = b.folder / "app.bin"
    card.write_bytes(b.signed(app()))
    b.install(f"file://{card}")
    assert b.site.asked() == []  # it may be off line
    b.confirm()


def test_a_key_that_a_file_revokes_signs_no_file_beside_it(b):
    card = b.folder / "app.bin"
    card.write_bytes(b.signed(app()))
    (b.folder / "trust-2.json").write_bytes(b.next_store(Rsa(DATA / "stranger.pem")))
    assert b.code(f"file://{card}") == "signature"


def test_manifests_that_are_files_leave_an_image_to_its_server(b):
    files = b.site.files(manifest_url="file:///sd/m")
    b.v.root.joinpath("ota.json").write_bytes(files["/ota.json"])
    b.signed(app())
    b.install()
    b.confirm()


def test_a_file_of_the_device_is_a_bare_image_too(b):
    data = b.signed(app())
    card = b.folder / "app.bin"
    card.write_bytes(data)
    b.install(f"file://{card}")
    assert b.slot()[: len(data)] == data
    b.confirm()
