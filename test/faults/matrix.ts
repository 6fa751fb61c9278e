import { CLUSTER_FAULTS } from './cluster.js'
import { DIVISION_FAULTS } from './division.js'
import { FAILOVER_FAULTS } from './failover.js'
import { type Outcome, suffer } from './fault.js'
import { NETWORK_FAULTS } from './network.js'
import { endNodes } from './node-process.js'
import { PROCESS_FAULTS } from './process.js'
import { SERVER_FAULTS } from './server.js'

/** Lets every fault happen, one after the other. */
export async function* sufferAll(): AsyncGenerator<Outcome> {
  try {
    for (const fault of PROCESS_FAULTS) yield await suffer(fault)
    for (const fault of NETWORK_FAULTS) yield await suffer(fault)
    for (const fault of SERVER_FAULTS) yield await suffer(fault)
    for (const fault of FAILOVER_FAULTS) yield await suffer(fault)
    for (const fault of CLUSTER_FAULTS) yield await suffer(fault)
    for (const fault of DIVISION_FAULTS) yield await suffer(fault)
  } finally {
    await endNodes()
  }
}
