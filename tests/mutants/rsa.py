"""Checks of lib/ota/rsa.py that are taken out one at a time, for tests/mutate.py."""

MUTANTS = [
    (
        "RSA: a signature of any length",
        "if len(signature) != KEY_SIZE or len(digest)",
        "if len(digest)",
        "portable/test_rsa.py::test_a_signature_has_384_bytes",
    ),
    (
        "RSA: a digest of any length",
        "if len(signature) != KEY_SIZE or len(digest) != _HASH:",
        "if len(signature) != KEY_SIZE:",
        "portable/test_rsa.py::test_a_digest_has_32_bytes",
    ),
    (
        "RSA: s of n and more is taken",
        "if s >= n:",
        "if False:",
        "portable/test_rsa.py::test_a_signature_is_less_than_the_modulus",
    ),
    (
        "RSA: the trailer may be anything",
        "encoded[KEY_SIZE - 1] != 0xBC or encoded[0] & 0x80",
        "encoded[0] & 0x80",
        "portable/test_rsa.py::test_the_trailer_is_bc",
    ),
    (
        "RSA: the top bit may be set",
        "encoded[KEY_SIZE - 1] != 0xBC or encoded[0] & 0x80",
        "encoded[KEY_SIZE - 1] != 0xBC",
        "portable/test_rsa.py::test_the_topmost_bit_of_the_encoding_is_zero",
    ),
    (
        "RSA: the padding may be anything",
        "elif byte != (i == _PADDING):",
        "elif i == _PADDING and byte != 1:",
        "portable/test_rsa.py::test_the_padding_is_zeros_from_first_to_last",
    ),
    (
        "RSA: no one between padding and salt",
        "elif byte != (i == _PADDING):",
        "elif i != _PADDING and byte:",
        "portable/test_rsa.py::test_a_one_stands_between_padding_and_salt",
    ),
    (
        "RSA: a salt of any length",
        "            if i > _PADDING:\n                salt[i - _PADDING - 1] = byte\n            elif byte != (i == _PADDING):\n",
        "            if i == 0:\n                salt = None\n            if salt is not None:\n                salt += bytes((byte,))\n            elif byte == 1:\n                salt = bytearray()\n            elif byte:\n",
        "portable/test_rsa.py::test_a_salt_of_another_length_is_refused",
    ),
    (
        "RSA: the hash is not compared",
        "return sha.digest() == seed[:_HASH]",
        "return True",
        "portable/test_rsa.py::test_another_message_or_key_is_refused",
    ),
    (
        "RSA: the middle of the padding may be anything",
        "if encoded[at : at + _HASH] != mask:",
        "if False:",
        "portable/test_rsa.py::test_the_padding_is_zeros_from_first_to_last",
    ),
]
