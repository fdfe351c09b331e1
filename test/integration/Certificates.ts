/** Certificates for one cluster: an authority, a server and a client, and an authority that signed neither. */
import * as Fs from "node:fs"
import * as Path from "node:path"
import { Effect } from "effect"
import * as Processes from "./Processes.ts"

/** PEM texts for a client, and the folder with what a broker reads. */
export interface Certificates {
  readonly folder: string
  /** The authority that signed the server and the client. */
  readonly ca: string
  /** An authority that signed neither. */
  readonly otherCa: string
  readonly cert: string
  readonly key: string
  /** The client's key, encrypted with `passphrase`. */
  readonly encryptedKey: string
  readonly passphrase: string
}

/** Of the Java key stores and of the client's encrypted key. */
export const password = "changeit"

/** Makes them with openssl; with keytool the Java key stores that brokers before 3.0 want. */
export const make = (folder: string, javaKeyStores: boolean): Effect.Effect<Certificates, Processes.ProcessError> =>
  Effect.gen(function* () {
    const sh = (script: string) => Processes.run(["sh", "-e", "-c", script], { folder })
    const read = (name: string) => Fs.readFileSync(Path.join(folder, name), "utf8")
    Fs.writeFileSync(Path.join(folder, "ext"), "subjectAltName=DNS:localhost,IP:127.0.0.1\n")
    yield* sh(`for ca in ca other; do
      openssl req -x509 -newkey rsa:2048 -nodes -days 30 -subj /CN=samsa-$ca -keyout $ca.key -out $ca.crt
    done`)
    yield* sh(`for who in server client; do
      openssl req -newkey rsa:2048 -nodes -subj /CN=$who -keyout $who.key -out $who.csr
      openssl x509 -req -in $who.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 30 -extfile ext -out $who.crt
      openssl pkcs8 -topk8 -nocrypt -in $who.key -out $who.pk8
    done
    openssl rsa -aes256 -passout pass:${password} -in client.key -out client.encrypted
    cat server.pk8 server.crt ca.crt > server.pem`)
    if (javaKeyStores) {
      yield* sh(`openssl pkcs12 -export -in server.crt -inkey server.key -certfile ca.crt -name server -passout pass:${password} -out server.p12
      keytool -importkeystore -noprompt -srckeystore server.p12 -srcstoretype PKCS12 -srcstorepass ${password} \
        -destkeystore server.jks -deststoretype JKS -deststorepass ${password} -destkeypass ${password}
      keytool -importcert -noprompt -alias ca -file ca.crt -keystore trust.jks -storetype JKS -storepass ${password}`)
    }
    return {
      folder,
      ca: read("ca.crt"),
      otherCa: read("other.crt"),
      cert: read("client.crt"),
      key: read("client.key"),
      encryptedKey: read("client.encrypted"),
      passphrase: password
    }
  })
