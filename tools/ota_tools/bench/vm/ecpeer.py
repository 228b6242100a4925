"""ECDSA over P-256 as pure-Python packages do it, restated: big integers, Jacobian, Shamir's trick.

A bit of both scalars at a time, a shorter sum where z is 1, the inverse by Fermat.
"""

P = 2**256 - 2**224 + 2**192 + 2**96 - 1
N = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
G = (
    0x6B17D1F2E12C4247F8BCE6E563A440F277037D812DEB33A0F4A13945D898C296,
    0x4FE342E2FE1A7F9B8EE7EB4A7C0F9E162BCE33576B315ECECBB6406837BF51F5,
    1,
)


def double(point):
    x, y, z = point
    if not y:
        return 0, 0, 0
    yy = y * y % P
    zz = z * z % P
    s = 4 * x * yy % P
    m = 3 * (x - zz) * (x + zz) % P
    nx = (m * m - 2 * s) % P
    return nx, (m * (s - nx) - 8 * yy * yy) % P, 2 * y * z % P


def add(p, q):
    if not p[1]:
        return q
    zz = p[2] * p[2] % P
    u1, s1, z = p
    if q[2] != 1:
        qzz = q[2] * q[2] % P
        u1 = u1 * qzz % P
        s1 = s1 * q[2] * qzz % P
        z = z * q[2] % P
    u2 = q[0] * zz % P
    s2 = q[1] * p[2] * zz % P
    if u1 == u2:
        return double(p) if s1 == s2 else (0, 0, 0)
    h = u2 - u1
    r = s2 - s1
    hh = h * h % P
    hhh = h * hh % P
    v = u1 * hh % P
    nx = (r * r - hhh - 2 * v) % P
    return nx, (r * (v - nx) - s1 * hhh) % P, h * z % P


def verify(x, y, digest, signature):
    r = int.from_bytes(signature[:32], "big")
    s = int.from_bytes(signature[32:], "big")
    w = pow(s, N - 2, N)
    u1 = int.from_bytes(digest, "big") * w % N
    u2 = r * w % N
    points = None, G, (x, y, 1), add(G, (x, y, 1))
    total = 0, 0, 0
    for i in range(255, -1, -1):
        total = double(total)
        which = (u1 >> i & 1) | (u2 >> i & 1) << 1
        if which:
            total = add(total, points[which])
    zz = total[2] * total[2] % P
    return (r * zz - total[0]) % P == 0 or (r + N < P and ((r + N) * zz - total[0]) % P == 0)
