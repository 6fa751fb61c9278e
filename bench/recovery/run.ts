import { printBudgets, printTables } from '../table.js'
import { budgets, measure } from './bench.js'

const { samples } = await measure()
printTables(samples, undefined)
printBudgets(budgets(samples))
