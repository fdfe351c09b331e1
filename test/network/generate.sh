#!/bin/sh -e
# Makes certificates.json: authorities, a server and a client, valid from 2020 to 2120. Run by hand where it has to change.
folder=$(mktemp -d)
cd "$folder"
key() { openssl ecparam -name prime256v1 -genkey -noout | openssl pkcs8 -topk8 -nocrypt -out "$1.key"; }
# issue NAME AUTHORITY EXTENSION
issue() {
  key "$1"
  openssl req -new -key "$1.key" -subj "/CN=samsa test $1" -out "$1.csr"
  : > index; echo 0$(($(cat serial 2>/dev/null || echo 0) + 1)) > serial
  cat > config <<CONFIG
[ca]
default_ca = it
[it]
database = index
serial = serial
new_certs_dir = .
default_md = sha256
policy = any
x509_extensions = ext
[any]
commonName = supplied
[ext]
$3
CONFIG
  issuer=$([ "$1" = "$2" ] && echo "-selfsign" || echo "-cert $2.crt")
  openssl ca -batch -config config $issuer -keyfile "$2.key" -in "$1.csr" -out "$1.out" -notext \
    -startdate 20200101000000Z -enddate 21200101000000Z 2>/dev/null
  openssl x509 -in "$1.out" -out "$1.crt"
}
issue ca ca "basicConstraints = critical, CA:TRUE"
issue other other "basicConstraints = critical, CA:TRUE"
issue server ca "subjectAltName = DNS:localhost, DNS:broker.test, IP:127.0.0.1"
issue client ca "subjectAltName = DNS:client"
openssl pkcs8 -topk8 -v2 aes-256-cbc -passout pass:secret -in client.key -out client.encrypted
node -e '
  const text = (name) => require("fs").readFileSync(name, "utf8")
  const names = { ca: "ca.crt", otherCa: "other.crt", serverCert: "server.crt", serverKey: "server.key", cert: "client.crt", key: "client.key", encryptedKey: "client.encrypted" }
  console.log(JSON.stringify(Object.fromEntries(Object.entries(names).map(([k, v]) => [k, text(v)])), null, 2))
' > "$OLDPWD/certificates.json"
rm -r "$folder"
