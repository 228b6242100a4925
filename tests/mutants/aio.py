"""Checks of lib/ota/aio.py that are taken out one at a time, for tests/mutate.py."""

MUTANTS = [
    (
        "aio: everything stays open where a task is cancelled",
        "            steps.close()",
        "            pass",
        "e2e/test_aio.py::test_a_task_that_is_cancelled_leaves_no_socket_and_can_be_tried_again",
    ),
    (
        "aio: a connection stays open where the download cannot begin",
        "        finally:\n            self._close()\n        return",
        "        finally:\n            pass\n        return",
        "e2e/test_aio.py::test_an_update_that_fails_before_the_download_leaves_no_connection_open",
    ),
    (
        "aio: a step does not let others run",
        "                await sleep_ms(waiting.nap_ms if waiting else 0)\n",
        "                if waiting:\n                    await sleep_ms(waiting.nap_ms)\n",
        "e2e/test_aio.py::test_others_run_between_all_steps_on_the_slot_and_none_is_long",
    ),
    (
        "aio: steps of any length",
        "self._download(release, True)",
        "self._download(release, False)",
        "e2e/test_aio.py::test_others_run_between_all_steps_on_the_slot_and_none_is_long",
    ),
]
