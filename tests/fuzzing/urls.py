"""URLs, and references beside them: RFC 3986, from its text."""

import re
import urllib.parse

import verdicts_http as V  # noqa: N812

from ota import http

from . import network
from .target import Target


class Url(Target):
    """Two readers of each URL; and where a reference leads."""

    name = "url"
    longest = 256
    words = (
        b"https://",
        b"//",
        b"/../",
        b"/./",
        b"..",
        b"\0",
        b":443",
        b"?",
        b"#",
        b"@",
        b"a.example",
    )

    def seeds(self):
        return seeds()

    def check(self, data):
        return check_url(data)[:4]


NAME = re.compile(r"[A-Za-z0-9._-]+")


def check_url(data: bytes) -> str:
    """The verdict for an input, where all of it is right."""
    text, _, reference = data.partition(b"\0")
    try:
        text, reference = text.decode(), reference.decode()
    except ValueError:
        return V.verdict("url", data)
    base = url_or_none(http.Url, text)
    if base:
        check_one_url(base)
        parts = urllib.parse.urlsplit(text)
        assert (parts.scheme, parts.hostname) == ("https", base.host.lower()), "another host"
        assert (parts.port or 443) == base.port, "another port"
        query = "?" + parts.query if "?" in text.split("#")[0] else ""
        assert (parts.path or "/") + query == base.path, "another path"
    base = base or http.Url(V.URL)
    joined = url_or_none(base.join, reference)
    if joined:
        check_one_url(joined)
        wanted = resolve(base, reference)
        assert joined.path == wanted[1] and joined.authority() == wanted[0], "RFC 3986"
        if reference[:2] == "//" or re.match(r"[^/?#]*:", reference):
            assert vars(joined) == vars(base.join(whole(joined)))
        else:
            assert joined.authority() == base.authority(), "beside, on another host"
    return V.verdict("url", data)


def url_or_none(call, text):
    try:
        return call(text)
    except V.OtaError as e:
        assert e.code == "url"
        return None


def whole(url) -> str:
    return "https://" + url.authority() + url.path


def check_one_url(url) -> None:
    assert NAME.fullmatch(url.host) and 1 <= url.port <= 65535, "host and port"
    assert url.path[0] == "/" and "#" not in url.path
    assert all("!" <= char <= "~" for char in url.path), "path"
    for again in (http.Url(whole(url)), url.join(whole(url))):
        assert vars(again) == vars(url), "its own text is another URL"
    there = url.join("")
    assert vars(there.join("")) == vars(there), "joined twice"
    request = http.request(url, V.AGENT)
    assert network.REQUEST.fullmatch(request) and request.count(b"\r\n") == 5, "request"


def resolve(base, reference: str) -> tuple:
    """Host with port, and path with query: RFC 3986 section 5.2, from its text."""
    reference = reference.split("#")[0]
    match = re.fullmatch(r"(?:([^:/?]*):)?(?://([^/?]*))?([^?]*)(\?.*)?", reference)
    scheme, authority, path, query = match.groups()
    base_path, mark, base_query = base.path.partition("?")
    if scheme is not None or authority is not None:
        host, colon, port = authority.partition(":")
        if colon and int(port) == 443:
            colon, port = "", ""
        elif colon:
            port = str(int(port))
        # An absolute URL goes out as it stands: removing its dots is left to the server.
        return host + colon + port, (path or "/") + (query or "")
    if not path:
        return base.authority(), without_dots(base_path) + (query or mark + base_query)
    if path[0] != "/":
        path = base_path[: base_path.rindex("/") + 1] + path
    return base.authority(), without_dots(path) + (query or "")


def without_dots(path: str) -> str:
    """Section 5.2.4, step by step."""
    out = ""
    while path:
        if path.startswith("/./") or path == "/.":
            path = "/" + path[3:]
        elif path.startswith("/../") or path == "/..":
            path = "/" + path[4:]
            out = out[: max(0, out.rfind("/"))]
        else:
            end = path.find("/", 1)
            end = len(path) if end < 0 else end
            out += path[:end]
            path = path[end:]
    return out


def seeds() -> list:
    bases = (
        "https://a.example/d/f?q https://a.example https://a:8443/b/c/?x https://h//p/./q/../r#s"
    )
    references = (
        "g ./g g/ /g //g.example/h ?y g?y #s g#s g?y#s ;x . ./ .. ../ ../g ../.. ../../../g /./g "
        "/../g g. .g g.. ..g ./../g ./g/. g/./h g/../h https://b/x HTTPS://b/ http://b/ https: a:b "
        "g?y/./x g#s/../x //h:443/ //h:0443/x //h:99999/ /a:b ./a:b //u@h/ //[::1]/ // /// ////x "
        "https://h:443 https://h? %2e%2e/x \\\\x"
    )
    cases = [(base, "") for base in bases.split(" ")]
    cases += [(base, text) for base in bases.split(" ")[:2] for text in references.split(" ")]
    return [base.encode() + b"\0" + text.encode() for base, text in cases]
