import { createServer, connect as dial, type Server, type Socket } from 'node:net'

/** Every message on the bus of a Redis Cluster begins with a header that names its sender here. */
const SENDER = { start: 40, end: 80 }

/** The way of the others to one server of a Cluster: its end of the bus. */
export interface BusLine {
  readonly port: number
  /** Takes no connections any more of servers that this holds for, by their node ids, and ends those there are. */
  block(isBlocked: (sender: string) => boolean): void
  close(): Promise<void>
}

/** Listens on a free port of 127.0.0.1 and passes on what servers of a Cluster say to the one with that bus port. */
export async function startBusLine(busPort: number): Promise<BusLine> {
  /** Who is at the other end, once that was heard. */
  const open = new Map<Socket, string | undefined>()
  let isBlocked = (_: string): boolean => false
  const server: Server = createServer(from => {
    open.set(from, undefined)
    from.on('error', () => {})
    from.once('close', () => open.delete(from))
    let begun = Buffer.alloc(0)
    const read = (chunk: Buffer): void => {
      begun = Buffer.concat([begun, chunk])
      if (begun.length < SENDER.end) return
      from.off('data', read)
      const sender = begun.toString('latin1', SENDER.start, SENDER.end)
      open.set(from, sender)
      if (isBlocked(sender)) from.resetAndDestroy()
      else join(from, busPort, begun)
    }
    from.on('data', read)
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  return {
    port: (server.address() as { port: number }).port,
    block(blocks) {
      isBlocked = blocks
      for (const [socket, sender] of open) if (sender !== undefined && isBlocked(sender)) socket.resetAndDestroy()
    },
    async close() {
      for (const socket of open.keys()) socket.destroy()
      await new Promise(resolve => server.close(resolve))
    },
  }
}

/** Passes on everything in both directions, and the end of either. */
function join(from: Socket, busPort: number, begun: Buffer): void {
  const to = dial({ port: busPort, host: '127.0.0.1' })
  to.on('error', () => {})
  to.once('close', () => from.destroy())
  from.once('close', () => to.destroy())
  to.write(begun)
  from.pipe(to)
  to.pipe(from)
}
