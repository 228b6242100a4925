"""Checks of lib/ota/updater.py that are taken out one at a time, for tests/mutate.py."""

MUTANTS = [
    (
        "download: the application's errors are called flash errors",
        "                    feed()\n",
        "                    try:\n                        feed()\n                    except OSError as e:\n                        steps.throw(e)\n",
        "e2e/test_transfer.py::test_what_the_application_raises_comes_through",
    ),
    (
        "download: everything stays open where the application raises",
        "steps.close()  # nothing",
        "pass  # nothing",
        "portable/test_download.py::test_nothing_stays_open_where_the_application_raises",
    ),
    (
        "update: a connection stays open where the download cannot begin",
        "        finally:\n            self._close()\n        return",
        "        finally:\n            pass\n        return",
        "portable/test_download.py::test_an_update_that_fails_before_the_download_leaves_no_connection_open",
    ),
    (
        "update: a connection for the manifest",
        "self._check(True)",
        "self._check()",
        "portable/test_download.py::test_an_update_takes_one_connection",
    ),
]
