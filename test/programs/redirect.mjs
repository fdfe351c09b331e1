// Loaded before a program of the docs, so that it runs as it stands: port 9092 becomes that of the test's broker.
import { syncBuiltinESMExports } from "node:module"
import net from "node:net"

const connect = net.connect
net.connect = (options, ...rest) =>
  connect(options.port === 9092 ? { ...options, port: Number(process.env.SAMSA_TEST_PORT) } : options, ...rest)
syncBuiltinESMExports()
