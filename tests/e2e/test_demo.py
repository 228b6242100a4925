"""The demo: all of it goes well, and it can fail."""

import json

from ota_tools import demo, flaky, keys, serve
from ota_tools.board import maker
from ota_tools.board.flash import Operation


def run(vm, folder) -> list[demo.Step]:
    return demo.run_demo(vm, lambda line: None, lambda step: None, folder)


def test_every_step_is_as_it_should_be(vm, tmp_path):
    steps = run(vm, tmp_path / "demo")
    assert [(s.name, s.reason) for s in steps if not s.ok] == []
    assert len(steps) >= 6
    shown = json.loads(demo.as_json_text(steps))
    assert set(shown["steps"][0]) == {"name", "outcome", "reason", "ok", "seconds"}


def test_the_judge_notices_an_image_that_should_have_failed(vm, tmp_path, monkeypatch):
    real = maker.application_image
    monkeypatch.setattr(maker, "application_image", lambda v, works, size: real(v, True, size))
    steps = run(vm, tmp_path / "demo")
    failed = next(s for s in steps if not s.ok)
    assert failed.name.startswith("1.2 fails")
    assert "the bootloader picks ota_0" in failed.reason
    assert steps[-1].outcome == "not run"


def test_the_judge_notices_a_slot_with_other_contents(vm, tmp_path, monkeypatch):
    real = demo.Judge.sha256
    monkeypatch.setattr(demo.Judge, "sha256", lambda self, name, size: real(self, name, size - 1))
    steps = run(vm, tmp_path / "demo")
    assert not steps[0].ok and "does not hold 1.0" in steps[0].reason


def test_the_judge_notices_connections_that_did_not_break(vm, tmp_path, monkeypatch):
    monkeypatch.setattr(demo, "BREAKS", ())
    steps = run(vm, tmp_path / "demo")
    assert steps[0].ok
    assert not steps[1].ok and "0 broken connections" in steps[1].reason


def test_the_judge_notices_a_download_that_began_anew(vm, tmp_path, monkeypatch):
    monkeypatch.setattr(serve, "_part", lambda asked, size: None)  # ranges are ignored
    steps = run(vm, tmp_path / "demo")
    assert not steps[1].ok and "bytes on the wire" in steps[1].reason


def test_the_judge_notices_a_way_with_one_redirect_less(vm, tmp_path, monkeypatch):
    monkeypatch.setattr(flaky, "github_like", lambda target: lambda path: target + path[7:])
    steps = run(vm, tmp_path / "demo")
    assert not steps[1].ok and "redirecting host was asked 3 times" in steps[1].reason


def test_the_judge_notices_a_stranger_who_has_the_owners_key(vm, tmp_path, monkeypatch):
    real, made = keys.generate, {}

    def generate(path):
        made[path.name] = real(path)
        return made["release.pem" if path.name == "stranger.pem" else path.name]

    monkeypatch.setattr(keys, "generate", generate)
    steps = run(vm, tmp_path / "demo")
    failed = next(s for s in steps if not s.ok)
    assert failed.name == "a release signed by a stranger is refused"
    assert "the board was sent" in failed.reason


def test_the_judge_notices_one_erase_in_a_refusal(vm, tmp_path, monkeypatch):
    real = demo.Demo._power

    def power(self, *args) -> None:
        real(self, *args)
        if (tmp_path / "demo" / "stranger.pem").exists():
            slot = self._target.table.find("ota_1")
            self._operations.append(Operation("erase", slot.offset, 4096))

    monkeypatch.setattr(demo.Demo, "_power", power)
    steps = run(vm, tmp_path / "demo")
    failed = next(s for s in steps if not s.ok)
    assert failed.name == "a release signed by a stranger is refused"
    assert failed.reason == "1 flash operations in ota_1"
