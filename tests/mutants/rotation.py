"""Checks of lib/ota/rotation.py that are taken out one at a time, for tests/mutate.py."""

MUTANTS = [
    (
        "trust store: a damaged one has no code of its own",
        '    raise error("trust-store", "%s: %s" % (path, wrong))',
        '    raise error("files", "%s: %s" % (path, wrong))',
        "e2e/test_update.py::test_a_missing_or_damaged_trust_store_is_refused",
    ),
    (
        "rotation: the store with the lower number counts",
        "sorted(found, reverse=True)",
        "sorted(found)",
        "e2e/test_rotation.py::test_a_device_walks_through_several_trust_stores",
    ),
    (
        "rotation: a damaged store is the end",
        "            return load(read_file(port.path(name), _LIMIT))\n        except OtaError as e:\n            wrong = str(e)",
        '            return load(read_file(port.path(name), _LIMIT))\n        except OtaError as e:\n            raise error("trust-store", str(e))',
        "e2e/test_rotation.py::test_a_damaged_trust_store_falls_back_to_the_flashed_one",
    ),
    (
        "rotation: what was flashed is forgotten",
        "for name in (path, path + CURRENT):",
        "for name in (path + CURRENT,):",
        "e2e/test_rotation.py::test_a_damaged_trust_store_falls_back_to_the_flashed_one",
    ),
    (
        "rotation: what was accepted is forgotten",
        "for name in (path, path + CURRENT):",
        "for name in (path,):",
        "e2e/test_rotation.py::test_a_device_walks_through_several_trust_stores",
    ),
    (
        "rotation: it is not stored",
        "        replace_file(port.path(config.trust + CURRENT), envelope)\n",
        "",
        "e2e/test_rotation.py::test_a_device_walks_through_several_trust_stores",
    ),
    (
        "rotation: what was flashed is written over",
        "replace_file(port.path(config.trust + CURRENT), envelope)",
        "replace_file(port.path(config.trust), envelope)",
        "e2e/test_rotation.py::test_a_device_walks_through_several_trust_stores",
    ),
    (
        "rotation: on FAT all the same",
        "        port.check_file_system()\n",
        "",
        "e2e/test_rotation.py::test_on_fat_no_trust_store_is_replaced",
    ),
    (
        "rotation: steps without end",
        "for _ in range(_STEPS):",
        "while True:",
        "e2e/test_rotation.py::test_no_more_than_32_steps_in_one_check",
    ),
    (
        "rotation: it is not verified",
        "found = succeed(trust, envelope)",
        "found = read(envelope)",
        "e2e/test_rotation.py::test_a_trust_store_is_signed_by_the_old_and_the_new_root_role",
    ),
    (
        "rotation: a missing one is a failure",
        'if e.code in ("http-status", "denied") or not base.authority():',
        "if False:",
        "e2e/test_rotation.py::test_a_device_walks_through_several_trust_stores",
    ),
    (
        "rotation: whatever goes wrong ends the walk",
        'if e.code in ("http-status", "denied") or not base.authority():',
        "if True:",
        "portable/test_access.py::test_a_walk_ends_where_the_next_trust_store_is_not_there_and_nowhere_else",
    ),
    (
        "rotation: a server of files that says 403 ends the check",
        '("http-status", "denied")',
        '("http-status",)',
        "portable/test_access.py::test_a_walk_ends_where_the_next_trust_store_is_not_there_and_nowhere_else",
    ),
    (
        "rotation: who brings files needs a network",
        " or not base.authority()",
        "",
        "portable/test_access.py::test_a_walk_ends_where_the_next_trust_store_is_not_there_and_nowhere_else",
    ),
    (
        "rotation: a stored trust store of any length",
        "const(11265)",
        "const(65536)",
        "e2e/test_rotation.py::test_a_trust_store_on_the_device_is_as_long_as_one_that_is_fetched",
    ),
    (
        "rotation: the longest trust store is too long",
        "const(11265)",
        "const(11264)",
        "e2e/test_rotation.py::test_a_trust_store_on_the_device_is_as_long_as_one_that_is_fetched",
    ),
    (
        "rotation: without a date it has expired",
        "0 < trust.expires < port.now()",
        "trust.expires < port.now()",
        "e2e/test_rotation.py::test_a_trust_store_without_a_date_does_not_expire",
    ),
    (
        "rotation: a trust store that is missing is called damaged",
        "            if data:\n",
        "            if True:\n",
        "e2e/test_rotation.py::test_a_damaged_flashed_trust_store_is_none_where_a_newer_one_was_accepted",
    ),
]
