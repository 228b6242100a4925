"""HTTP: URLs, the request, and heads of responses, well-formed and bounded or refused."""

from fakes import code_of, raises

from ota.dates import build_date, http_date, unix_time
from ota.errors import OtaError, SourceError
from ota.http import (
    HEAD_LIMIT,
    HEADERS_LIMIT,
    LINE_LIMIT,
    URL_LIMIT,
    Head,
    Url,
    chunk_size,
    request,
)

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


def test_a_url_has_at_most_4096_characters():
    assert URL_LIMIT == 4096
    text = "https://a.example/"
    text += "x" * (4096 - len(text))
    assert Url(text).path == text[17:]
    assert code_of(Url, text + "x") == "url"
    base = Url("https://a.example/b")
    assert base.join("x" * 4078).path == text[17:]
    assert code_of(base.join, "x" * 4079) == "url"


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


def test_references_are_those_of_rfc_3986():
    # The examples of section 5.4, over https.
    base = Url("https://a/b/c/d;p?q")
    for reference, wanted in (
        ("g", "a/b/c/g"),
        ("./g", "a/b/c/g"),
        ("g/", "a/b/c/g/"),
        ("/g", "a/g"),
        ("//g", "g/"),
        ("?y", "a/b/c/d;p?y"),
        ("g?y", "a/b/c/g?y"),
        ("#s", "a/b/c/d;p?q"),
        ("g#s", "a/b/c/g"),
        ("g?y#s", "a/b/c/g?y"),
        (";x", "a/b/c/;x"),
        ("g;x", "a/b/c/g;x"),
        ("g;x?y#s", "a/b/c/g;x?y"),
        ("", "a/b/c/d;p?q"),
        (".", "a/b/c/"),
        ("./", "a/b/c/"),
        ("..", "a/b/"),
        ("../", "a/b/"),
        ("../g", "a/b/g"),
        ("../..", "a/"),
        ("../../", "a/"),
        ("../../g", "a/g"),
        ("../../../g", "a/g"),
        ("../../../../g", "a/g"),
        ("/./g", "a/g"),
        ("/../g", "a/g"),
        ("g.", "a/b/c/g."),
        (".g", "a/b/c/.g"),
        ("g..", "a/b/c/g.."),
        ("..g", "a/b/c/..g"),
        ("./../g", "a/b/g"),
        ("./g/.", "a/b/c/g/"),
        ("g/./h", "a/b/c/g/h"),
        ("g/../h", "a/b/c/h"),
        ("g;x=1/./y", "a/b/c/g;x=1/y"),
        ("g;x=1/../y", "a/b/c/y"),
        ("g?y/./x", "a/b/c/g?y/./x"),
        ("g?y/../x", "a/b/c/g?y/../x"),
        ("g#s/./x", "a/b/c/g"),
        ("g#s/../x", "a/b/c/g"),
        ("https://g/h", "g/h"),
        ("https://g/../h/./i", "g/../h/./i"),  # taken as it stands
        # and more
        ("g/?y", "a/b/c/g/?y"),
        ("?", "a/b/c/d;p?"),
        ("?y?z#s?t", "a/b/c/d;p?y?z"),
        ("g:h/../i?a:b", None),
        ("./g:h", "a/b/c/g:h"),
        ("/g:h", "a/g:h"),
        ("?g:h", "a/b/c/d;p?g:h"),
        ("#g:h", "a/b/c/d;p?q"),
        ("/..//g", "a//g"),
        ("//g:8443/h/i?y", "g:8443/h/i?y"),
    ):
        if wanted is None:
            assert code_of(base.join, reference) == "url", reference
        else:
            url = base.join(reference)
            assert url.authority() + url.path == wanted, reference


def test_a_reference_with_a_host_is_on_its_port():
    base = Url("https://a.example:8443/b/m?x")
    url = base.join("//c.example/d")
    assert (url.host, url.port, url.path) == ("c.example", 443, "/d")
    url = base.join("//c.example")
    assert (url.host, url.port, url.path) == ("c.example", 443, "/")
    assert base.join("//c.example:1/d").port == 1


def test_a_reference_never_leaves_https():
    base = Url("https://a.example/b/m")
    for reference in (
        "http://a.example/c",
        "HTTP://a.example/c",
        "HTTPS://a.example/c",
        "ftp://c.example/",
        "://c.example/",
        ":",
        "g:h",
        "http:g",
        "http:/g",
        "https:g",
        "https:/g",
        "https:",
        "javascript:x",
        "//",
        "///c",
        "//:443/c",
        "//user@c.example/",
        "//[::1]/",
        "//c.example:0/",
        "//c.example:x/",
        "//c.example?x",
        "x y",
        "x\r\nX: y",
        "x" * 4096,
    ):
        assert code_of(base.join, reference) == "url", reference


def test_a_request_is_one_get_without_body():
    assert request(Url("https://a.example:8443/b?c"), "User-Agent: x\r\nA: b\r\n") == (
        b"GET /b?c HTTP/1.1\r\n"
        b"Host: a.example:8443\r\n"
        b"Accept-Encoding: identity\r\n"
        b"User-Agent: x\r\n"
        b"A: b\r\n"
        b"\r\n"
    )
    assert b"\r\nHost: a.example\r\n" in request(Url("https://a.example:443/"), "")


def test_a_request_for_a_part_names_its_first_and_last_byte():
    asked = request(Url("https://a.example/b"), "X: y\r\n", 4096, 8192)
    assert asked.endswith(b"\r\nX: y\r\nRange: bytes=4096-8191\r\n\r\n")
    assert b"Range" not in request(Url("https://a.example/b"), "", 0, 0)


def test_a_request_may_be_about_one_version():
    url = Url("https://a.example/b")
    part = request(url, "", 4096, 8192, b'"1"')
    assert part.endswith(b'\r\nRange: bytes=4096-8191\r\nIf-Range: "1"\r\n\r\n')
    assert b"None-Match" not in part
    other = request(url, "", 0, 0, b'W/"1"')
    assert other.endswith(b'identity\r\nIf-None-Match: W/"1"\r\n\r\n')
    assert b"Range" not in other


def test_a_request_with_a_body_is_a_post_of_json():
    body = b'{"a": "\xc3\xa4"}'
    assert request(Url("https://a.example/b?c"), "A: b\r\n", body=body) == (
        b"POST /b?c HTTP/1.1\r\n"
        b"Host: a.example\r\n"
        b"Accept-Encoding: identity\r\n"
        b"A: b\r\n"
        b"Content-Type: application/json\r\n"
        b"Content-Length: 11\r\n"
        b"\r\n" + body
    )


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
        (b"HTTP/1.1 199 x\r\n", 199),
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
        b"bytes **/30",
        b"bytes *-19/30",
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
    assert head_code(OK, part[:-2] + b" " * LINE_LIMIT) == "http-format"


def test_a_connection_is_kept_unless_the_server_closes_it():
    assert head_of(OK, b"\r\n").keeps
    assert head_of(OK, b"Connection: Keep-Alive\r\n").keeps
    assert not head_of(OK, b"Connection: close\r\n").keeps
    assert not head_of(OK, b"Connection: keep-alive, close\r\n").keeps
    assert not head_of(OK, b"Connection: close\r\n", b"Connection: keep-alive\r\n").keeps
    assert not head_of(b"HTTP/1.0 200 OK\r\n").keeps
    assert not head_of(OK, b"Connection: keep-alive" + b" " * LINE_LIMIT).keeps


def test_a_cut_length_is_refused():
    assert head_code(OK, b"Content-Length: 12" + b" " * LINE_LIMIT) == "http-format"
    assert head_code(OK, b"Content-Length: " + b" " * (LINE_LIMIT - 18) + b"12") == "http-format"


def test_no_transfer_encoding_but_chunked_is_taken():
    for name in (b"Transfer-Encoding", b"transfer-encoding", b"TRANSFER-ENCODING"):
        for value in (b"chunked", b"Chunked", b" CHUNKED "):
            head = head_of(OK, name + b":" + value + b"\r\n", b"\r\n")
            assert (head.chunked, head.length, head.done) == (True, -1, True)
        for value in (
            b"identity",
            b"gzip, chunked",
            b"chunked, chunked",
            b"chunked, identity",
            b"chunked;q=1",
            b"xchunked",
            b"chun",
            b"",
        ):
            assert head_code(OK, name + b": " + value + b"\r\n") == "http-format", value
    assert not head_of(OK, b"\r\n").chunked


def test_chunks_and_a_length_are_refused_together():
    # Somebody could be fooled about where the body ends.
    chunked, length = b"Transfer-Encoding: chunked\r\n", b"Content-Length: 5\r\n"
    empty = b"Content-Length: 0\r\n"
    for lines in (
        (chunked, length),
        (length, chunked),
        (chunked, empty),
        (empty, chunked),
        (chunked, chunked),
        (empty, empty),
        (length, length),
    ):
        assert head_code(OK, lines[0]) == ""
        assert head_code(OK, *lines) == "http-format", lines
        assert head_code(OK, lines[0], b"X: y\r\n", lines[1]) == "http-format", lines


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
        b"Transfer-Encoding: gzip\r\n",
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
    assert LINE_LIMIT == 4224 and len(piece) == LINE_LIMIT
    head = head_of(OK, piece, b"\r\n", b"Content-Length: 5\r\n", b"\r\n")
    assert (head.length, head.done) == (5, True)
    # With its end inside the piece it is a whole line.
    head = head_of(OK, piece[:-2] + b"\r\n", b"\r\n")
    assert head.done


def test_a_long_length_encoding_or_place_is_refused_not_dropped():
    length = b"Content-Length:" + b" " * 4200 + b"12"
    for piece in (
        length + b" " * (LINE_LIMIT - len(length)),
        b"Transfer-Encoding: " + b"x" * (LINE_LIMIT - 19),
        b"Content-Encoding: " + b"x" * (LINE_LIMIT - 18),
        b"Location: /" + b"x" * (LINE_LIMIT - 11),
        b"Content-Range: bytes 0-9/10" + b" " * (LINE_LIMIT - 27),
        b"x" * LINE_LIMIT,
    ):
        assert len(piece) == LINE_LIMIT
        assert head_code(OK, piece) == "http-format", piece[:20]


def test_a_place_of_any_length_that_a_url_may_have_is_taken():
    place = b"https://a.example/" + b"x" * (URL_LIMIT - 18)
    assert head_of(OK, b"Location: " + place + b"\r\n").location == place


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
    pieces = [b"X: " + b"x" * (LINE_LIMIT - 3)] + [b"x" * LINE_LIMIT] * 2
    assert head_code(OK, *pieces) == ""
    assert head_code(OK, *(pieces + [b"x" * LINE_LIMIT])) == "http-format"


def test_a_head_has_at_most_100_headers():
    assert HEADERS_LIMIT == 100
    lines = [b"A: b\r\n"] * 100
    assert head_of(OK, *(lines + [b"\r\n"])).done
    assert head_code(OK, *(lines + [b"A: b\r\n"])) == "http-format"


def test_interim_answers_are_passed_over():
    interim = [b"HTTP/1.1 103 Early\r\n", b"Location: /y\r\n", b'ETag: "1"\r\n', b"\r\n"]
    interim += [b"HTTP/1.1 100 X\r\n", b"Connection: close\r\n", b"Retry-After: 5\r\n", b"\r\n"]
    head = head_of(*interim)
    assert (head.status, head.done) == (0, False)
    for line in (OK, b"Content-Length: 5\r\n", b"\r\n"):
        head.feed(line)
    assert (head.status, head.length, head.done, head.keeps) == (200, 5, True, True)
    assert (head.location, head.tag, head.wait_s) == (b"", b"", 0)
    # They count: there may not be any number of them.
    interim = [b"HTTP/1.1 100 X\r\n", b"\r\n"]
    assert head_code(*interim * 900) == ""
    assert head_code(*interim * 1000) == "http-format"


def all_of(head):
    """What a head says."""
    return (
        head.status,
        head.length,
        head.chunked,
        head.start,
        head.stop,
        head.total,
        head.keeps,
        head.tag,
        head.location,
        head.wait_s,
        head.done,
        head.size,
    )


def test_a_line_may_come_in_any_pieces():
    for lines in (
        (OK, b"Content-Length: 1234\r\n", b'ETag: W/"1"\r\n', b"\r\n"),
        (b"HTTP/1.0 302\n", b"Location: /y\n", b"Transfer-Encoding: chunked\n", b"\n"),
        (b"HTTP/1.1 100 X\r\n", b"\r\n", OK, b"Content-Range: bytes 10-19/30\r\n", b"\r\n"),
        (OK, b"Connection: close\r\n", b"Retry-After: 5\r\n", b"\r\n"),
    ):
        wanted = all_of(head_of(*lines))
        assert wanted[10]
        for i in range(len(lines)):
            for at in range(len(lines[i]) + 1):
                pieces = list(lines[:i]) + [lines[i][:at], lines[i][at:]] + list(lines[i + 1 :])
                assert all_of(head_of(*[piece for piece in pieces if piece])) == wanted
        bytewise = b"".join(lines)
        assert all_of(head_of(*[bytes((byte,)) for byte in bytewise])) == wanted


def test_what_is_refused_is_refused_in_any_pieces():
    for line in (
        b"Content-Length: 1x\r\n",
        b"Content-Encoding: gzip\r\n",
        b" folded\r\n",
        b"Content-Range: bytes 5-4/9\r\n",
        b"Transfer-Encoding: gzip\r\n",
    ):
        for at in range(len(line)):
            pieces = [piece for piece in (line[:at], line[at:]) if piece]
            assert head_code(OK, *pieces) == "http-format", (line, at)


def test_an_etag_is_taken_as_it_stands_or_not_at_all():
    whole = b'"1"', b'"abc-123:x"', b'""', b'W/"1"', b'"' + b"x" * 126 + b'"', b'"a"b"', b'"!~"'
    for value in whole:
        assert head_of(OK, b"ETag: " + value + b"\r\n").tag == value
        assert head_of(OK, b"etag:\t" + value + b"  \r\n").tag == value
    for value in (
        b"",
        b"1",
        b'"',
        b'"1',
        b'1"',
        b'w/"1"',
        b'W/"',
        b'W/1"',
        b"W/1",
        b'W"1"',
        b'"a b"',
        b'"a\tb"',
        b'"a\rb"',
        b'"a\x00b"',
        b'"\xe9"',
        b'"\x7f"',
        b'"' + b"x" * 127 + b'"',
    ):
        assert head_of(OK, b"ETag: " + value + b"\r\n").tag == b"", value
    assert head_of(OK).tag == b""
    assert head_of(OK, b'ETag: "1"' + b" " * LINE_LIMIT).tag == b""


def test_a_location_is_one_and_whole():
    assert head_of(OK, b"LOCATION:  https://a.example/b  \r\n").location == b"https://a.example/b"
    assert head_of(OK).location == b""
    place = b"Location: /y\r\n"
    assert head_code(OK, place, place) == "http-format"


def test_when_to_come_back_is_seconds_or_a_date():
    date = b"Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
    for value, wanted in (
        (b"0", 0),
        (b"120", 120),
        (b"9999999999", 9999999999),
        (b"10000000000", 0),
        (b"-5", 0),
        (b"+5", 0),
        (b"1.5", 0),
        (b"soon", 0),
        (b"", 0),
        (b"Sun, 06 Nov 1994 08:50:37 GMT", 60),
        (b"Mon, 07 Nov 1994 08:49:37 GMT", 86400),
        (b"Sun, 06 Nov 1994 08:49:37 GMT", 0),
        (b"Sun, 06 Nov 1994 08:49:36 GMT", 0),
        (b"Sunday, 06-Nov-94 08:50:37 GMT", 0),
    ):
        line = b"Retry-After: " + value + b"\r\n"
        assert head_of(OK, date, line, b"\r\n").wait_s == wanted, value
    # Without the server's own clock a date says nothing.
    line = b"Retry-After: Sun, 06 Nov 1994 08:50:37 GMT\r\n"
    assert head_of(OK, line, b"\r\n").wait_s == 0
    assert head_of(OK, b"Date: today\r\n", line, b"\r\n").wait_s == 0
    assert head_of(OK).wait_s == 0


def test_nothing_hides_a_header_in_another():
    for line in (
        b"X: a\rContent-Length: 7\r\n",
        b"X: a\x00Content-Length: 7\r\n",
        b"X: Content-Length: 7\r\n",
        b"X\x00Content-Length: 7\r\n",
        b"X\rContent-Length: 7\r\n",
        b"X\x0bTransfer-Encoding: chunked\r\n",
        b"Content-Length\x00: 7\r\n",
    ):
        head = head_of(OK, line, b"Content-Length: 5\r\n", b"\r\n")
        assert (head.length, head.chunked, head.done) == (5, False, True), line
    for line in (b"\rContent-Length: 7\r\n", b"\r\r\n", b"\x0b\n", b"\x00\r\n"):
        assert head_code(OK, line) == "http-format", line


# Numbers and dates


def test_a_chunk_begins_with_its_size():
    for line, wanted in (
        (b"0", 0),
        (b"000", 0),
        (b"5", 5),
        (b"a", 10),
        (b"A", 10),
        (b"1F", 31),
        (b"1f", 31),
        (b"1000", 4096),
        (b"ffffffff", 4294967295),
        (b"00000005", 5),
        (b"5;", 5),
        (b"5;a", 5),
        (b"5;a=b;c", 5),
        (b'5;a="0;1"', 5),
        (b"5 ;a", 5),
        (b"5 \t", 5),
    ):
        assert chunk_size(line) == wanted, line


def test_what_is_no_size_of_a_chunk_is_refused():
    for line in (
        b"",
        b";",
        b";a",
        b" ",
        b"g",
        b"5g",
        b"x5",
        b"0x5",
        b"-5",
        b"+5",
        b" 5",
        b"\t5",
        b"5 5",
        b"5,5",
        b"5.0",
        b"1_0",
        b"5\r",
        b"5\x00",
        b"\xb5",
        b"100000000",
        b"000000005",
        b"f" * 1000,
    ):
        assert code_of(chunk_size, line) == "http-format", line


def test_dates_of_http():
    for text, wanted in (
        (b"Sun, 06 Nov 1994 08:49:37 GMT", 784111777),
        (b"Thu, 01 Jan 1970 00:00:01 GMT", 1),
        (b"Tue, 29 Feb 2000 12:00:00 GMT", 951825600),
        (b"Tue, 19 Jan 2038 03:14:08 GMT", 2147483648),
        (b"Thu, 31 Dec 2099 23:59:59 GMT", 4102444799),
        (b"", 0),
        (b"Sun, 06 Nov 1994 08:49:37 UTC", 0),
        (b"Sun, 06 Nov 1994 08:49:37", 0),
        (b"Sun, 06 Nov 1994 08:49:37 GMT ", 0),
        (b"Sun, 6 Nov 1994 08:49:37 GMT", 0),
        (b"Sun, 06 nov 1994 08:49:37 GMT", 0),
        (b"Sun, 06 anF 1994 08:49:37 GMT", 0),
        (b"Sun, 06 Nov 1969 08:49:37 GMT", 0),
        (b"Sun, 00 Nov 1994 08:49:37 GMT", 0),
        (b"Sun, -6 Nov 1994 08:49:37 GMT", 0),
        (b"Sun, 06 Nov 19x4 08:49:37 GMT", 0),
        (b"Sun, 06 Nov 1994 0x:49:37 GMT", 0),
        (b"Sun, 06 Nov 1994 08:49:3x GMT", 0),
        (b"Sunday, 06-Nov-94 08:49:37 GMT", 0),
        (b"Sun Nov  6 08:49:37 1994", 0),
        (b"x" * 29, 0),
    ):
        assert http_date(text) == wanted, text


def test_dates_of_a_compiler():
    for text, wanted in (
        (b"Nov  6 1994", 784080000),
        (b"Nov 16 1994", 784944000),
        (b"Jan  1 2026", 1767225600),
        (b"Feb 29 2024", 1709164800),
        (b"", 0),
        (b"Nov 6 1994", 0),
        (b"nov  6 1994", 0),
        (b"Nov  0 1994", 0),
        (b"Nov  6 199", 0),
        (b"Nov  6 1969", 0),
        (b"Nov  x 1994", 0),
        (b"06 Nov 1994", 0),
        (bytes(16), 0),
        (b"\xff" * 16, 0),
    ):
        assert build_date(text) == wanted, text
    assert build_date(b"Nov  6 1994" + bytes(5)) == 784080000


def test_unix_time_knows_leap_years():
    for date, wanted in (
        ((1970, 1, 1), 0),
        ((1970, 1, 2), 1),
        ((1970, 3, 1), 59),
        ((1971, 1, 1), 365),
        ((1972, 2, 29), 789),
        ((1972, 3, 1), 790),
        ((1999, 12, 31), 10956),
        ((2000, 1, 1), 10957),
        ((2000, 2, 29), 11016),
        ((2000, 3, 1), 11017),
        ((2026, 1, 1), 20454),
        ((2100, 2, 28), 47540),
        ((2100, 3, 1), 47541),
        ((2400, 2, 29), 157113),
    ):
        assert unix_time(*date) == wanted * 86400, date
    days = 0
    for year in range(1970, 2110):
        leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
        for month, length in enumerate((31, 29 if leap else 28, 31, 30, 31, 30) + LATER):
            for day in (1, length):
                assert unix_time(year, month + 1, day) == (days + day - 1) * 86400
            days += length


LATER = (31, 31, 30, 31, 30, 31)  # from July on


def test_a_line_over_the_limit_is_cut_in_any_pieces():
    for line in (
        b"Content-Length:" + b" " * LINE_LIMIT + b"5\r\n",
        b"Location: /" + b"x" * LINE_LIMIT + b"\r\n",
        b"Transfer-Encoding: chunked" + b" " * LINE_LIMIT + b", gzip\r\n",
        b"Content-Encoding: identity" + b" " * LINE_LIMIT + b", gzip\r\n",
    ):
        for at in (1, 30, 2000, LINE_LIMIT):
            rest = range(at, len(line), LINE_LIMIT)
            pieces = [line[:at]] + [line[i : i + LINE_LIMIT] for i in rest]
            assert head_code(OK, *pieces) == "http-format", (line[:20], at)


def test_when_to_come_back_does_not_depend_on_the_order():
    line = b"Retry-After: Sun, 06 Nov 1994 08:50:37 GMT\r\n"
    date = b"Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
    for lines in ((line, date), (date, line)):
        assert head_of(OK, *lines, b"\r\n").wait_s == 60
