/**
 * Pure. The order in which the addresses of a name are tried: those that refused, swallowed packets, or took a connection
 * and never said anything, come last, however often the resolver names them first (a dead zone behind a load balancer,
 * another server on `::1`). Java: client.dns.lookup, use_all_dns_ips.
 */

/** How many addresses are remembered. */
const most = 1000

export class AddressOrder {
  /** The last to fail stand last. */
  readonly #failed = new Set<string>()

  failed(host: string, address: string): void {
    const key = `${host} ${address}`
    this.#failed.delete(key)
    this.#failed.add(key)
    const [oldest] = this.#failed
    if (oldest !== undefined && this.#failed.size > most) this.#failed.delete(oldest)
  }

  proven(host: string, address: string): void {
    this.#failed.delete(`${host} ${address}`)
  }

  sorted<A extends { readonly address: string }>(host: string, addresses: ReadonlyArray<A>): Array<A> {
    const rank = [...this.#failed]
    return addresses.toSorted((a, b) => rank.indexOf(`${host} ${a.address}`) - rank.indexOf(`${host} ${b.address}`))
  }
}
