"""Updates as they happen in the field: confirmed, failed, given up, cut off."""

from desk import WINDOW_S


def test_an_update_runs_from_the_other_slot_and_stays_once_it_is_confirmed(board):
    before = board.running()
    board.install("confirmed")
    assert board.running() == before  # until the reset
    board.restart()
    assert board.running() != before
    assert board.status()["trial"]
    board.join()
    board.device.ask(
        "ota.self_test([('server', lambda: ota.Updater.from_config().reachable())])",
        silence_s=120,
    )
    board.restart()
    status = board.status()
    assert board.running() != before
    assert (status["trial"], status["version"]) == (False, "confirmed")
    assert (status["outcome"], status["outcome_version"]) == ("confirmed", "confirmed")


def test_what_runs_already_is_not_installed_again(board):
    board.install("same")
    board.restart()
    board.device.ask("ota.confirm()")
    board.join()
    body = "u = ota.Updater.from_config()\nreturn bool(u.check()), u.reason"
    found, reason = board.device.ask(body, silence_s=600)
    assert not found
    assert reason.startswith("up to date")


def test_without_a_confirm_one_reset_brings_the_old_image_back(board):
    before = board.running()
    board.install("unconfirmed")
    board.restart()
    assert board.running() != before
    board.restart()
    assert board.running() == before
    assert not board.status()["trial"]


def test_a_self_test_that_fails_brings_the_old_image_back_and_it_is_refused(board):
    before = board.running()
    board.install("failing")
    board.restart()
    board.reset_by("ota.self_test([('sensor', lambda: False)])")
    status = board.status()
    assert board.running() == before
    assert status["outcome"] == "self-test failed"
    assert status["reason"] == "sensor: failed"
    assert len(status["refused"]) >= 1
    board.join()
    body = "u = ota.Updater.from_config()\nreturn bool(u.check()), u.reason"
    found, reason = board.device.ask(body, silence_s=120)
    assert not found and "failed here before" in reason


def test_an_image_that_hangs_in_its_trial_is_left_by_the_watchdog(board):
    before = board.running()
    board.install("hanging")
    board.restart()
    assert board.running() != before
    board.reset_by("import time\nwhile True:\n time.sleep_ms(9)", WINDOW_S + 5)
    assert board.running() == before
    assert not board.status()["trial"]


def test_a_rollback_by_hand_returns_to_the_confirmed_image(board):
    for version in ("kept", "left"):
        before = board.running()
        board.install(version)
        board.restart()
        board.device.ask("ota.confirm()")
    board.reset_by("ota.rollback('by hand')")
    status = board.status()
    assert board.running() == before
    assert (status["outcome"], status["reason"]) == ("rolled back", "by hand")


def test_a_download_that_a_reset_cut_off_goes_on_where_it_was(board):
    size = board.publish("resumed").manifest.size
    board.wipe()
    board.join()
    at_first = board.sent()
    body = f"""
{IN_PARTS}
import machine
def half(done, total):
    if done * 2 > total:
        machine.reset()
updater.update(progress=half)
"""
    board.reset_by(body, 10)
    before = board.sent() - at_first
    board.join()
    assert (
        board.device.ask(f"{IN_PARTS}\nreturn updater.update().version", silence_s=600)
        == "resumed"
    )
    after = board.sent() - at_first - before
    assert size <= before + after < size + 3 * PART_KIB * 1024, (before, after)
    assert 0 < after < size * 0.8
    board.restart()
    board.device.ask("ota.confirm()")
    assert board.status()["version"] == "resumed"


PART_KIB = 64
IN_PARTS = f"""
from ota.config import load_config
config = load_config("/ota.json")
config.part_kib = {PART_KIB}
updater = ota.Updater(config)
"""
"""A whole answer lies in the buffers on its way, and counts as sent before the board has it."""
