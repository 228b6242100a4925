"""HTTP: URLs, the request, and heads of responses, well-formed and bounded or refused."""

from fakes import code_of, raises

from ota.errors import OtaError, SourceError
from ota.http import HEAD_LIMIT, LINE_LIMIT, Head, Url, request

OK = b"HTTP/1.1 200 OK\r\n"


def parts(text):
    url = Url(text)
    return url.host, url.port, url.path


def test_a_url_is_taken_apart():
    for text, wanted in (
        ("https://a.example", ("a.example", 443, "/")),
        ("https://a.example/", ("a.example", 443, "/")),
        ("https://a.example/b/c.bin", ("a.example", 443, "/b/c.bin")),
        ("https://a.example:8443/b", ("a.example", 8443, "/b")),
        ("https://a.example:443/b", ("a.example", 443, "/b")),
        ("https://a.example:1/b", ("a.example", 1, "/b")),
        ("https://a.example:65535/b", ("a.example", 65535, "/b")),
        ("https://a.example/b?c=d/e&f", ("a.example", 443, "/b?c=d/e&f")),
        ("https://a.example/?c", ("a.example", 443, "/?c")),
        ("https://a.example/b#c", ("a.example", 443, "/b")),
        ("https://a.example/b?c#d/e", ("a.example", 443, "/b?c")),
        ("https://a.example#c", ("a.example", 443, "/")),
        ("https://a.example/b:c@d", ("a.example", 443, "/b:c@d")),
        ("https://a.example//b", ("a.example", 443, "//b")),
        ("https://192.0.2.1:80/x", ("192.0.2.1", 80, "/x")),
    ):
        assert parts(text) == wanted, text


def test_what_cannot_be_used_is_refused():
    for text in (
        "",
        "a",
        "/a",
        "https",
        "https:/",
        "https:/a.example/",
        "https:a.example/",
        "https://",
        "https:///b",
        "https://:443/b",
        "https://#a",
        "http://a.example/",
        "HTTPS://a.example/",
        "ftp://a.example/",
        "xhttps://a.example/",
        "https://a.example?b",
        "https://a.example?b/c",
        "https://user@a.example/",
        "https://user:password@a.example/",
        "https://a.example:443@b.example/",
        "https://[::1]/",
        "https://[a]/",
        "https://[::1]:443/",
        "https://a.example:/",
        "https://a.example:0/",
        "https://a.example:00/",
        "https://a.example:65536/",
        "https://a.example:99999/",
        "https://a.example:000443/",
        "https://a.example:-1/",
        "https://a.example:+1/",
        "https://a.example:4a/",
        "https://a.example:1:2/",
        "https://a.example:1.0/",
    ):
        assert raises(SourceError, Url, text).code == "url", text


def test_a_url_is_printable_ascii_without_spaces():
    for code in list(range(0x21)) + [0x7F, 0x80, 0xA0, 0xE9, 0x100, 0x2028]:
        for text in (
            "https://a.example/b" + chr(code) + "c",
            "https://a.ex" + chr(code) + "ample/b",
            "https://a.example/b" + chr(code),
            "https://a.example/#" + chr(code),
            chr(code) + "https://a.example/b",
        ):
            assert code_of(Url, text) == "url", (code, text)
    for code in range(0x21, 0x7F):
        path = "/b" + chr(code)
        assert Url("https://a.example" + path).path == path.rstrip("#")


def test_nothing_in_a_url_ends_a_header_line():
    for text in (
        "https://a.example/\r\nX: y",
        "https://a.example\r\nX: y/",
        "https://a/ HTTP/1.1",
    ):
        assert code_of(Url, text) == "url", text
        assert code_of(Url("https://a.example/b").join, text[8:]) == "url", text


def test_a_url_has_at_most_1024_characters():
    text = "https://a.example/"
    text += "x" * (1024 - len(text))
    assert Url(text).path == text[17:]
    assert code_of(Url, text + "x") == "url"


def test_the_authority_names_the_port_where_it_is_not_443():
    assert Url("https://a.example/b").authority() == "a.example"
    assert Url("https://a.example:443/b").authority() == "a.example"
    assert Url("https://a.example:8443/b").authority() == "a.example:8443"


def test_a_reference_is_absolute_from_the_root_or_beside():
    for base, reference, wanted in (
        ("https://a.example/b/m", "c.bin", ("a.example", 443, "/b/c.bin")),
        ("https://a.example/b/", "c.bin", ("a.example", 443, "/b/c.bin")),
        ("https://a.example/m", "c.bin", ("a.example", 443, "/c.bin")),
        ("https://a.example", "c.bin", ("a.example", 443, "/c.bin")),
        ("https://a.example/b/m", "c/d.bin", ("a.example", 443, "/b/c/d.bin")),
        ("https://a.example/b/m", "/c.bin", ("a.example", 443, "/c.bin")),
        ("https://a.example/b/m", "/", ("a.example", 443, "/")),
        ("https://a.example/b/m?x=y/z", "c.bin", ("a.example", 443, "/b/c.bin")),
        ("https://a.example/b/m", "c.bin?x=y", ("a.example", 443, "/b/c.bin?x=y")),
        ("https://a.example/b/m", "c.bin#x", ("a.example", 443, "/b/c.bin")),
        ("https://a.example:8443/b/m", "c.bin", ("a.example", 8443, "/b/c.bin")),
        ("https://a.example:8443/b/m", "/c.bin", ("a.example", 8443, "/c.bin")),
        ("https://a.example:8443/b/m", "https://c.example/d", ("c.example", 443, "/d")),
        ("https://a.example/b/m", "https://c.example:1/d", ("c.example", 1, "/d")),
    ):
        url = Url(base).join(reference)
        assert (url.host, url.port, url.path) == wanted, (base, reference)


def test_a_reference_never_leaves_https():
    base = Url("https://a.example/b/m")
    for reference in ("http://a.example/c", "ftp://c.example/", "://c.example/", "x" * 1024):
        assert code_of(base.join, reference) == "url", reference
    # Not a host: a path of this host.
    assert base.join("//c.example/d").host == "a.example"


def test_a_request_is_one_get_without_body():
    assert request(Url("https://a.example:8443/b?c"), "ota (x)") == (
        b"GET /b?c HTTP/1.1\r\n"
        b"Host: a.example:8443\r\n"
        b"User-Agent: ota (x)\r\n"
        b"Accept-Encoding: identity\r\n"
        b"\r\n"
    )
    assert b"\r\nHost: a.example\r\n" in request(Url("https://a.example:443/"), "x")


def test_a_request_for_a_part_names_its_first_and_last_byte():
    asked = request(Url("https://a.example/b"), "x", 4096, 8192)
    assert asked.endswith(b"\r\nRange: bytes=4096-8191\r\n\r\n")
    assert b"Range" not in request(Url("https://a.example/b"), "x", 0, 0)


# The head


def head_of(*lines):
    """A head that has taken these lines."""
    head = Head()
    for line in lines:
        head.feed(line)
    return head


def head_code(*lines):
    """The code of the error, "" where there is none."""
    try:
        head_of(*lines)
    except OtaError as e:
        return e.code
    return ""


def test_before_the_first_line_nothing_is_known():
    head = Head()
    assert (head.status, head.length, head.done) == (0, -1, False)


def test_a_head_gives_status_and_length():
    head = head_of(OK, b"Server: x\r\n", b"Content-Length: 1234\r\n")
    assert (head.status, head.length, head.done) == (200, 1234, False)
    head.feed(b"\r\n")
    assert (head.status, head.length, head.done) == (200, 1234, True)


def test_without_a_length_there_is_none():
    head = head_of(OK, b"\r\n")
    assert (head.status, head.length, head.done) == (200, -1, True)


def test_lines_end_with_crlf_or_lf():
    head = head_of(b"HTTP/1.1 200 OK\n", b"Content-Length: 5\n", b"\n")
    assert (head.status, head.length, head.done) == (200, 5, True)


def test_status_lines():
    for line, status in (
        (b"HTTP/1.1 200 OK\r\n", 200),
        (b"HTTP/1.0 200 OK\r\n", 200),
        (b"HTTP/1.1 200 \r\n", 200),
        (b"HTTP/1.1 200\r\n", 200),
        (b"HTTP/1.1 404 Not here at all\r\n", 404),
        (b"HTTP/1.1 100 Continue\r\n", 100),
        (b"HTTP/1.1 302 Found\r\n", 302),
        (b"HTTP/1.1 999 \xff\r\n", 999),
    ):
        assert head_of(line).status == status, line


def test_what_is_no_status_line_is_refused():
    for line in (
        b"\r\n",
        b"\n",
        b"x\r\n",
        b"HTTP/1.1\r\n",
        b"HTTP/1.1 \r\n",
        b"HTTP/1.1  200 OK\r\n",
        b" HTTP/1.1 200 OK\r\n",
        b"HTTP/1.1\t200 OK\r\n",
        b"HTTP/2 200 OK\r\n",
        b"HTTP/1.2 200 OK\r\n",
        b"http/1.1 200 OK\r\n",
        b"HTTP/1.10 200 OK\r\n",
        b"ICY 200 OK\r\n",
        b"HTTP/1.1 20 OK\r\n",
        b"HTTP/1.1 2000 OK\r\n",
        b"HTTP/1.1 099 OK\r\n",
        b"HTTP/1.1 000 OK\r\n",
        b"HTTP/1.1 2x0 OK\r\n",
        b"HTTP/1.1 -20 OK\r\n",
        b"HTTP/1.1 +20 OK\r\n",
        b"HTTP/1.1 2.0 OK\r\n",
        b"HTTP/1.1 OK 200\r\n",
        b"Content-Length: 5\r\n",
        b"<html>200 200</html>\r\n",
        b"\x16\x03\x01\x00\x05\n",
    ):
        assert raises(SourceError, head_of, line).code == "http-format", line


def test_header_names_have_any_case_and_values_any_space():
    for line in (
        b"Content-Length: 1234\r\n",
        b"content-length:1234\r\n",
        b"CONTENT-LENGTH:   1234  \r\n",
        b"Content-Length:\t1234\r\n",
    ):
        assert head_of(OK, line).length == 1234, line


def test_a_length_is_one_number():
    assert head_of(OK, b"Content-Length: 0\r\n").length == 0
    assert head_of(OK, b"Content-Length: 9999999999\r\n").length == 9999999999
    for value in (
        b"",
        b"-1",
        b"+1",
        b"1.0",
        b"1e3",
        b"0x10",
        b"1 2",
        b"1, 1",
        b"1,1",
        b"12a",
        b"a",
        b"10000000000",
        b"00000000001",
        b"\xb2",
    ):
        line = b"Content-Length: " + value + b"\r\n"
        assert head_code(OK, line) == "http-format", value


def test_a_second_length_is_refused_even_where_it_is_the_same():
    for first, second in ((b"5", b"5"), (b"5", b"6"), (b"0", b"0"), (b"0", b"5")):
        lines = [b"Content-Length: " + value + b"\r\n" for value in (first, second)]
        assert head_code(OK, lines[0]) == ""
        assert head_code(OK, lines[0], b"X: y\r\n", lines[1]) == "http-format", (first, second)


def test_a_part_says_where_it_belongs():
    head = head_of(OK, b"Content-Range: bytes 10-19/30\r\n")
    assert (head.start, head.stop, head.total) == (10, 20, 30)
    assert head_of(OK, b"CONTENT-RANGE:Bytes 0-0/1\r\n").stop == 1
    head = head_of(OK)
    assert (head.start, head.stop, head.total) == (0, 0, -1)


def test_what_is_no_range_of_bytes_is_refused():
    for value in (
        b"",
        b"bytes",
        b"bytes 10-19/*",
        b"bytes 10-19",
        b"bytes 10-19/",
        b"bytes -19/30",
        b"bytes 10-/30",
        b"bytes 20-19/30",
        b"bytes 10-30/30",
        b"bytes 10-19/30/40",
        b"bytes 10-19-20/30",
        b"bytes  10-19/30",
        b"bytes 10-99999999999/99999999999",
        b"bytes +1-19/30",
        b"lines 10-19/30",
        b"10-19/30",
    ):
        assert head_code(OK, b"Content-Range: " + value + b"\r\n") == "http-format", value
    part = b"Content-Range: bytes 10-19/30\r\n"
    assert head_code(OK, part, part) == "http-format"
    assert head_code(OK, part[:-2]) == "http-format"


def test_a_connection_is_kept_unless_the_server_closes_it():
    assert head_of(OK, b"\r\n").keeps
    assert head_of(OK, b"Connection: Keep-Alive\r\n").keeps
    assert not head_of(OK, b"Connection: close\r\n").keeps
    assert not head_of(OK, b"Connection: keep-alive, close\r\n").keeps
    assert not head_of(b"HTTP/1.0 200 OK\r\n").keeps


def test_a_cut_length_is_refused():
    assert head_code(OK, b"Content-Length: 12") == "http-format"
    assert head_code(OK, b"Content-Length: 12\r") == "http-format"


def test_any_transfer_encoding_is_refused():
    for value in (b"chunked", b"identity", b"gzip, chunked", b""):
        for name in (b"Transfer-Encoding", b"transfer-encoding", b"TRANSFER-ENCODING"):
            line = name + b": " + value + b"\r\n"
            assert head_code(OK, line) == "http-format", line
            assert head_code(OK, b"Content-Length: 5\r\n", line) == "http-format", line


def test_no_content_encoding_but_identity_is_taken():
    for value in (b"identity", b"Identity", b" IDENTITY "):
        assert head_code(OK, b"Content-Encoding:" + value + b"\r\n") == "", value
    for value in (b"gzip", b"br", b"deflate", b"", b"identity, gzip", b"x-identity"):
        for name in (b"Content-Encoding", b"content-encoding"):
            assert head_code(OK, name + b": " + value + b"\r\n") == "http-format", value


def test_other_headers_are_ignored():
    head = head_of(
        OK,
        b"X-Content-Length: 7\r\n",
        b"Content-Lengths: 8\r\n",
        b"Location: https://b.example/\r\n",
        b"Set-Cookie: a=b; Content-Length: 9\r\n",
        b"Empty:\r\n",
        b"Colons: a:b:c\r\n",
        b"Bytes: \x00\xff\r\n",
        b"Content-Length: 5\r\n",
        b"\r\n",
    )
    assert (head.length, head.done) == (5, True)


def test_a_header_has_a_name_without_space_around_it():
    for line in (
        b"x\r\n",
        b": x\r\n",
        b":\r\n",
        b" Content-Length: 5\r\n",
        b"\tfolded: x\r\n",
        b" folded\r\n",
        b"Content-Length : 5\r\n",
        b"Server\t: x\r\n",
        b" : x\r\n",
        b"HTTP/1.1 200 OK\r\n",
    ):
        assert head_code(OK, line) == "http-format", line


def test_a_head_ends_with_the_empty_line_and_not_before():
    head = head_of(OK)
    for line in (b"A: b\r\n", b"C: d\r\n"):
        head.feed(line)
        assert not head.done
    head.feed(b"\r\n")
    assert head.done


def test_the_rest_of_a_long_line_is_dropped():
    long = b"Content-Security-Policy: " + b"x" * LINE_LIMIT
    for tail in (
        b"\r\n",
        b"\n",
        b"Content-Length: 7\r\n",
        b"Transfer-Encoding: chunked\r\n",
        b"no colon\r\n",
        b" x\r\n",
    ):
        head = head_of(OK, long[:LINE_LIMIT], b"y" * LINE_LIMIT, tail)
        assert (head.length, head.done) == (-1, False), tail
        head.feed(b"Content-Length: 5\r\n")
        head.feed(b"\r\n")
        assert (head.length, head.done) == (5, True), tail


def test_a_long_line_of_exactly_the_limit_and_its_end():
    piece = b"X: " + b"x" * (LINE_LIMIT - 3)
    assert LINE_LIMIT == 2048 and len(piece) == LINE_LIMIT
    head = head_of(OK, piece, b"\r\n", b"Content-Length: 5\r\n", b"\r\n")
    assert (head.length, head.done) == (5, True)
    # With its end inside the piece it is a whole line.
    head = head_of(OK, piece[:-2] + b"\r\n", b"\r\n")
    assert head.done


def test_a_long_length_or_encoding_is_refused_not_dropped():
    length = b"Content-Length:" + b" " * 2027 + b"12"
    for piece in (
        length + b" " * (LINE_LIMIT - len(length)),
        b"Transfer-Encoding: " + b"x" * (LINE_LIMIT - 19),
        b"Content-Encoding: " + b"x" * (LINE_LIMIT - 18),
        b"x" * LINE_LIMIT,
    ):
        assert len(piece) == LINE_LIMIT
        assert head_code(OK, piece) == "http-format", piece[:20]


def test_a_long_status_line_is_one_line():
    head = head_of(b"HTTP/1.1 200 " + b"x" * (LINE_LIMIT - 13), b"yes\r\n", b"A: b\r\n", b"\r\n")
    assert (head.status, head.done) == (200, True)


def test_a_head_has_at_most_16384_bytes():
    assert HEAD_LIMIT == 16384
    for size, wanted in ((HEAD_LIMIT, ""), (HEAD_LIMIT + 1, "http-format")):
        left = size - len(OK) - 2
        lines = [OK]
        while left:
            n = min(left, 1000) if left != 1001 else 900
            lines.append(b"X:" + b"x" * (n - 4) + b"\r\n")
            left -= n
        lines.append(b"\r\n")
        assert sum([len(line) for line in lines]) == size
        assert head_code(*lines) == wanted, size


def test_dropped_bytes_count_too():
    pieces = [b"X: " + b"x" * (LINE_LIMIT - 3)] + [b"x" * LINE_LIMIT] * 6
    assert head_code(OK, *pieces) == ""
    assert head_code(OK, *(pieces + [b"x" * LINE_LIMIT])) == "http-format"
