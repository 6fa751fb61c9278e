import { BaseSequencer, type TestSpecification } from 'vitest/node'

/** Files that take longest, whatever their size: what is begun last keeps the other workers waiting. */
const LONGEST =
  /\/test\/(?:soak|faults|cli|package\/examples|http\/rabbitmq-broker|redis\/cluster-|vernemq\/two-servers)/

/** Begins with the longest files, and goes on as vitest would. */
export class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const sorted = await super.sort(files)
    const isLong = ({ moduleId }: TestSpecification): boolean => LONGEST.test(moduleId)
    return [...sorted.filter(isLong), ...sorted.filter(file => !isLong(file))]
  }
}
