// Does what the password says: `sleep <ms>`, `throw`, `exit`, `hang`; answers with the salt otherwise.
export function computeHash({ password, salt }) {
  const [word, ms] = password.split(' ')
  if (word === 'throw') throw new Error('told to throw')
  if (word === 'exit') process.exit(3)
  if (word === 'sleep' || word === 'hang') Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, Number(ms))
  return salt
}
