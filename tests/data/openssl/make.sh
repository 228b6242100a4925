#!/bin/sh
# Makes the files of this folder with OpenSSL: keys, PSS signatures, an envelope and a trust store.
# They are committed; run it only to replace all of them. The keys are for tests and protect nothing.
set -eu
cd "$(dirname "$0")"

key() { openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:"$2" -out "$1.pem"; }
modulus() { openssl rsa -in "$1.pem" -noout -modulus | sed 's/Modulus=//' | tr A-F a-f; }
b64url() { openssl base64 -A | tr -- '+/' '-_' | tr -d '='; }
pss() { # key, salt length, file -> signature on stdout
    openssl dgst -sha256 -sign "$1.pem" -sigopt rsa_padding_mode:pss \
        -sigopt rsa_pss_saltlen:"$2" -sigopt rsa_mgf1_md:sha256 "$3"
}
kid() { # Espressif's digest of a public key, by espsecure
    espsecure digest-sbv2-public-key --keyfile "$1.pem" -o kid.bin >/dev/null
    od -An -v -tx1 kid.bin | tr -d ' \n'
    rm kid.bin
}
envelope() { # typ, payload file, keys... -> envelope on stdout
    typ=$1 payload=$2
    shift 2
    separator=
    printf '{"signatures":['
    for name in "$@"; do
        protected=$(printf '{"alg":"PS256","kid":"%s","typ":"%s"}' "$(kid "$name")" "$typ" | b64url)
        printf '%s.%s' "$protected" "$(b64url <"$payload")" >input.tmp
        printf '%s{"protected":"%s","signature":"%s"}' "$separator" "$protected" \
            "$(pss "$name" 32 input.tmp | b64url)"
        separator=,
    done
    rm input.tmp
    printf ']}\n'
    cat "$payload"
}

for name in root root2 release stranger; do key "$name" 3072; done
printf 'the message' >message.txt
for salt in 0 20 32 max; do pss release "$salt" message.txt >"pss-salt-$salt.bin"; done
modulus release >release.modulus

entry() { printf '{"kid":"%s","alg":"PS256","n":"%s"}' "$(kid "$1")" \
    "$(modulus "$1" | python3 -c "import sys; sys.stdout.buffer.write(bytes.fromhex(sys.stdin.read()))" | b64url)"; }
{
    printf '{"format":1,"number":1,"keys":[%s,%s,%s],' \
        "$(entry root)" "$(entry root2)" "$(entry release)"
    printf '"root":{"keys":["%s","%s"],"threshold":2},' "$(kid root)" "$(kid root2)"
    printf '"release":{"keys":["%s"],"threshold":1},"sequence_floor":0}' "$(kid release)"
} >trust.payload
envelope ota-trust+1 trust.payload root root2 >trust.json
envelope ota-trust+1 trust.payload root >trust-one-signature.json

printf '{"format":1,"product":"demo","board":"virtual","chip_id":0,"version":"1.1","sequence":2,' \
    >manifest.payload
printf '"created":1790000000,"image":{"size":5,"sha256":"%s","blocks":"%s"},' \
    "$(printf hello | openssl dgst -sha256 -r | cut -d' ' -f1)" \
    "$(printf hello | openssl dgst -sha256 -binary | head -c 16 | b64url)" >>manifest.payload
printf '"payloads":[{"urls":["a.bin"],"encoding":"plain","size":5}],"library":[1]}' >>manifest.payload
envelope ota-manifest+1 manifest.payload release >release.manifest
envelope ota-manifest+1 manifest.payload stranger >stranger.manifest
envelope ota-manifest+1 manifest.payload stranger release >both.manifest
envelope ota-trust+1 manifest.payload release >wrong-typ.manifest

# Certificates of a server, by a root of its own, and the pins of both keys.
openssl req -x509 -newkey rsa:3072 -nodes -keyout key.tmp -subj "/CN=ota test root" -days 36500 \
    -out root.tmp
openssl x509 -in root.tmp -outform der -out tls-root.der
openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout server.tmp \
    -subj "/CN=here" -out request.tmp
printf 'subjectAltName=DNS:here\n' >extensions.tmp
sign() { openssl x509 -req -in request.tmp -CA root.tmp -CAkey key.tmp -days 36500 -outform der "$@"; }
sign -set_serial 1 -out tls-server-v1.der # OpenSSL 3.0: version 1 where nothing is extended
sign -set_serial 2 -extfile extensions.tmp -out tls-server.der
for name in root server; do
    openssl x509 -inform der -in "tls-$name.der" -noout -pubkey | openssl pkey -pubin -outform der |
        openssl dgst -sha256 -r | cut -d' ' -f1
done >tls-pins.txt
rm ./*.tmp
