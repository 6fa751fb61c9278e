/**
 * Topic names and filters, matching, covering, compiled ACLs and decisions. Pure: runs in a browser.
 *
 * @module
 */
export { type CompiledAcl, type CompileOptions, compileAcl } from './compile.js'
export { filterCoversFilter, filtersCoverFilter, filtersOverlap } from './cover.js'
export { filterMatchesTopic } from './match.js'
export { type ReasonRow, reasons } from './reasons.js'
export { describeTopicProblem, parseSubscription, topicFilterProblem, topicNameProblem } from './topic.js'
export type {
  Acl,
  AclRule,
  Action,
  Allowed,
  Decision,
  Denied,
  DenyReason,
  MissedLimit,
  Principal,
  PublishFacts,
  PublishModifiers,
  PublishProperties,
  PublishRule,
  Qos,
  Semantics,
  SubscribeFacts,
  SubscribeRule,
  SubscribeTarget,
  TopicProblem,
} from './types.js'
