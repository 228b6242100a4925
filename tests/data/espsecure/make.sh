#!/bin/sh
# Makes the files of this folder with espsecure: signature sectors, as they end a signed image. OpenSSL
# says the public keys. They are committed; run it only to replace all of them: signatures are random.
# Keys are made where they are missing. They are for tests and protect nothing.
set -eu
cd "$(dirname "$0")"

key() { # name, scheme
    [ -e "$1.pem" ] || espsecure generate-signing-key --version 2 --scheme "$2" "$1.pem" >/dev/null
}
public() { # name: n, or x and y, in hexadecimal, big-endian
    case $1 in
    rsa*) openssl rsa -in "$1.pem" -noout -modulus | sed 's/Modulus=//' | tr A-F a-f ;;
    *) openssl ec -in "$1.pem" -pubout -outform der 2>/dev/null | tail -c 64 |
        od -An -v -tx1 | tr -d ' \n' && echo ;;
    esac
}
sign() { # input, name of the sector, other arguments: the last 4096 bytes of the signed input
    in=$1 name=$2
    shift 2
    espsecure sign-data --version 2 --output signed.tmp "$in" "$@" >/dev/null
    tail -c 4096 signed.tmp >"$name.sector"
}

for i in 1 2 3; do
    key rsa$i rsa3072
    key p256-$i ecdsa256
done
key p192 ecdsa192
key p384 ecdsa384
for name in rsa1 rsa2 rsa3 p256-1 p256-2 p256-3; do
    printf '%s %s\n' "$name" "$(public "$name")"
done >keys.txt

# 601 bytes, which espsecure fills up to 4096.
seq 100 300 | head -c 601 >content.bin

sign content.bin rsa-1 --keyfile rsa1.pem
mv signed.tmp rsa-1.tmp
sign content.bin rsa-2 --keyfile rsa1.pem rsa2.pem
sign content.bin rsa-3 --keyfile rsa1.pem rsa2.pem rsa3.pem
sign content.bin p256-1 --keyfile p256-1.pem
sign content.bin p256-2 --keyfile p256-1.pem p256-2.pem
sign content.bin p256-3 --keyfile p256-1.pem p256-2.pem p256-3.pem
sign content.bin mixed --keyfile rsa1.pem p256-1.pem
sign content.bin same-key --keyfile rsa1.pem rsa1.pem
sign content.bin p192 --keyfile p192.pem
sign content.bin p384 --keyfile p384.pem
sign content.bin mixed-p384 --keyfile rsa1.pem p384.pem

# A signed file signed again: as content, and as it is meant, with one signature more.
sign rsa-1.tmp twice --keyfile rsa1.pem
sign rsa-1.tmp appended --append-signatures --keyfile rsa2.pem

# Not filled up; and Secure Boot v1, which appends 68 bytes.
sign content.bin unpadded --skip-padding --keyfile rsa1.pem
espsecure sign-data --version 1 --output signed.tmp content.bin --keyfile p256-1.pem >/dev/null
tail -c 68 signed.tmp >secure-boot-v1.bin
rm ./*.tmp
