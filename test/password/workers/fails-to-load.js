throw new Error('told to fail')
