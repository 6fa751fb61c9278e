import { createServer } from 'node:net'

/** A server that answers each command with what a table says, and `+PONG` or `+OK` where it says nothing. */
export async function startImpostor(answers: {
  readonly [command: string]: string
}): Promise<{ port: number; close(): void }> {
  const impostor = createServer(socket => {
    socket.on('error', () => {})
    socket.on('data', data => {
      for (const command of data.toString().split(/(?=\*\d+\r\n)/)) {
        const words = command.split('\r\n').filter(word => word !== '' && !/^[*$]/.test(word))
        const name = words.join(' ').toLowerCase()
        const known = Object.keys(answers).find(each => name.startsWith(each))
        socket.write(known !== undefined ? answers[known]! : name.startsWith('ping') ? '+PONG\r\n' : '+OK\r\n')
      }
    })
  })
  await new Promise<void>(resolve => impostor.listen(0, '127.0.0.1', resolve))
  return { port: (impostor.address() as { port: number }).port, close: () => impostor.close() }
}
