#!/bin/sh
# Makes the certificates of the tests anew: sh tests/support/tls/make.sh
# They are for loopback alone and are valid for a hundred years, but for the one that has expired.
set -eu
cd "$(dirname "$0")"
work=$(mktemp -d)
ca() { # name
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 36500 \
    -keyout "$work/$1.key" -out "$1.pem" -subj "/CN=tidegate test $1" \
    -addext "basicConstraints=critical,CA:TRUE" -addext "keyUsage=critical,keyCertSign,cRLSign"
}
leaf() { # name, ca, names, use, end
  openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes \
    -keyout "$1.key" -out "$work/$1.csr" -subj "/CN=$1"
  : > "$work/index"
  printf '[ca]\ndefault_ca=own\n[own]\ndatabase=%s/index\nrand_serial=yes\nnew_certs_dir=%s\ndefault_md=sha256\npolicy=any\n[any]\ncommonName=supplied\n[ext]\nbasicConstraints=CA:FALSE\nkeyUsage=digitalSignature\nextendedKeyUsage=%s\nsubjectAltName=%s\nauthorityKeyIdentifier=keyid\n' \
    "$work" "$work" "$4" "$3" > "$work/conf"
  openssl ca -batch -notext -config "$work/conf" -extensions ext -cert "$2.pem" -keyfile "$work/$2.key" \
    -startdate 20200101000000Z -enddate "$5" -in "$work/$1.csr" -out "$1.pem"
}
names="DNS:orders.test,DNS:localhost,IP:127.0.0.1"
ca ca
ca other_ca
leaf good ca "$names" serverAuth 21200101000000Z
leaf wrong_name ca "DNS:elsewhere.test" serverAuth 21200101000000Z
leaf unknown_ca other_ca "$names" serverAuth 21200101000000Z
leaf expired ca "$names" serverAuth 20200102000000Z
leaf client ca "DNS:gateway.test" clientAuth 21200101000000Z
rm -r "$work"
