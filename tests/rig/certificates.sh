#!/bin/bash
# Certificates of others for the scenarios of guest-eap.sh and guest-maker.sh: of a maker and a device of it, as makers make them
# (IEEE 802.1AR: serialNumber in the subject, no end, no extended key usage), and of somebody nobody knows; of the maker's
# server, and of the two ends of RADIUS/TLS.
#
#   certificates.sh DIR
set -euo pipefail
[ $# = 1 ] || { echo "usage: certificates.sh DIR" >&2; exit 2; }
mkdir -p "$1"
cd "$1"

cat >config <<'CONF'
[req]
distinguished_name=dn
[dn]
[authority]
basicConstraints=critical,CA:TRUE
keyUsage=critical,keyCertSign,cRLSign
subjectKeyIdentifier=hash
[device]
basicConstraints=CA:FALSE
keyUsage=critical,digitalSignature
[peer]
basicConstraints=CA:FALSE
keyUsage=critical,digitalSignature
extendedKeyUsage=serverAuth,clientAuth
subjectAltName=DNS:$ENV::name
[ca]
default_ca=this
[this]
database=index.txt
new_certs_dir=.
default_md=sha256
policy=any
unique_subject=no
rand_serial=yes
[any]
serialNumber=optional
commonName=optional
CONF
: >index.txt

# made NAME SUBJECT AUTHORITY CURVE [KIND]: a key, and a certificate for it from an authority. KIND: device, or peer.
export name=none
made() {
    openssl genpkey -algorithm EC -pkeyopt "ec_paramgen_curve:$4" -out "$1.key"
    openssl req -config config -new -key "$1.key" -subj "$2" -out "$1.csr"
    openssl ca -config config -batch -notext -in "$1.csr" -cert "$3.pem" -keyfile "$3.key" -extensions "${5:-device}" \
        -startdate 20200101000000Z -enddate 99991231235959Z -out "$1.pem"
}
for authority in acme nobody; do
    openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-384 -out $authority.key
    openssl req -config config -new -x509 -key $authority.key -subj /CN=$authority -days 3650 -extensions authority -out $authority.pem
done
made kettle /serialNumber=AC-4711/CN=Kettle acme P-256
made rogue /CN=Rogue nobody P-256
for name in radius.acme.example hub.example.net ap.example.net; do
    made $name /CN=$name acme P-256 peer
done
chmod 644 ./*.key
