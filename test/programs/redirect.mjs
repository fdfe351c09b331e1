// Loaded before a program of the docs, so that it runs as it stands: port 9092 becomes that of the test's broker.
import net from "node:net"

const { connect } = net.Socket.prototype
net.Socket.prototype.connect = function (options, ...rest) {
  const port = options.port === 9092 ? Number(process.env.SAMSA_TEST_PORT) : options.port
  return connect.call(this, Array.isArray(options) ? options : { ...options, port }, ...rest)
}
