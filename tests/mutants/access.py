"""Checks of lib/ota/access.py that are taken out one at a time, for tests/mutate.py."""

MUTANTS = [
    (
        "clock: one behind what was confirmed is right",
        "if not port.clock_is_set() or port.now() < created:",
        "if not port.clock_is_set():",
        "e2e/test_clock.py::test_a_clock_behind_what_was_confirmed_is_not_right_even_if_it_was_set",
    ),
    (
        "clock: a right one is set",
        "if not port.clock_is_set() or port.now() < created:",
        "if True:",
        "e2e/test_clock.py::test_a_power_cut_loses_the_clock_and_a_reset_does_not",
    ),
    (
        "configuration: no URL anywhere",
        "if not urls:",
        "if False:",
        "portable/test_access.py::test_without_a_url_anywhere_there_is_nothing_to_ask",
    ),
    (
        "configuration: a certificate of the client is not used",
        "if config.tls_cert:",
        "if False:",
        "portable/test_access.py::test_the_network_is_as_configured",
    ),
    (
        "configuration: another root is not used",
        "[read(config.tls_root)] if config.tls_root else trust.tls_roots",
        "trust.tls_roots",
        "portable/test_access.py::test_the_network_is_as_configured",
    ),
    (
        "configuration: pins are not used",
        "Network(port, roots, config.tls_pins,",
        "Network(port, roots, [],",
        "portable/test_access.py::test_the_network_is_as_configured",
    ),
    (
        "configuration: a certificate that is missing",
        '        if not data:\n            raise error("config"',
        '        if False:\n            raise error("config"',
        "portable/test_access.py::test_a_certificate_that_is_missing_or_too_long_is_an_error",
    ),
    (
        "configuration: a certificate of any length",
        "read_file(port.path(path), _CERTIFICATE)",
        "read_file(port.path(path), 1 << 20)",
        "portable/test_access.py::test_a_certificate_that_is_missing_or_too_long_is_an_error",
    ),
    (
        "configuration: nobody is told the secret",
        "            source.home = base.authority()",
        "            pass",
        "portable/test_access.py::test_a_secret_goes_to_the_host_of_the_manifest",
    ),
    (
        "configuration: the secret is not sent",
        "agent, config.secret)",
        "agent)",
        "portable/test_access.py::test_a_secret_goes_to_the_host_of_the_manifest",
    ),
    (
        "access: credentials for any host",
        "        if url_of(text, config.manifest_url).authority() == base.authority():",
        "        if True:",
        "e2e/test_bare.py::test_credentials_go_to_the_manifests_host_only",
    ),
    (
        "access: a trust store may name files",
        'if text.startswith("file:") and text == named:',
        'if text.startswith("file:"):',
        "e2e/test_local.py::test_a_trust_store_cannot_name_a_file",
    ),
    (
        "rotation: a store whose URLs cannot be used",
        "        Url(text)\n",
        "        pass\n",
        "e2e/test_attacks.py::test_an_attack_has_its_code_and_the_next_honest_release_is_confirmed[paths and URLs that escape: trust store: manifest_urls of plain HTTP]",
    ),
    (
        "rotation: a store whose TLS roots cannot be read",
        "    if old.tls_roots or new.tls_roots:",
        "    if False:",
        "e2e/test_attacks.py::test_an_attack_has_its_code_and_the_next_honest_release_is_confirmed[paths and URLs that escape: trust store: a TLS root that is none]",
    ),
    (
        "rotation: a store that names no URL",
        "    manifest_urls(config, new)\n",
        "    pass\n",
        "e2e/test_rotation.py::test_a_trust_store_that_leads_nowhere_is_not_accepted",
    ),
    (
        "access: a URL that cannot be used hides the next",
        "        except OtaError as e:\n            wrong = e",
        "        except OtaError as e:\n            raise",
        "e2e/test_rotation.py::test_a_flashed_trust_store_may_have_a_url_that_cannot_be_used",
    ),
    (
        "access: a store of bare images needs manifest URLs",
        "if not new.bare_images:",
        "if True:",
        "e2e/test_bare.py::test_a_key_that_was_revoked_meanwhile_signs_nothing",
    ),
]
