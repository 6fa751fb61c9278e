// The pure functions alone: no broker, no store, no Node API. Needs nothing running.
import {
  compileAcl,
  filterCoversFilter,
  filterMatchesTopic,
  filtersCoverFilter,
  topicFilterProblem,
} from 'mqtt-warden/acl'

// A PUBLISH carries a topic name: does a filter match it?
console.log(filterMatchesTopic('plant/+/temp', 'plant/7/temp')) // true
console.log(filterMatchesTopic('#', '$SYS/uptime')) // false: wildcards do not reach names that begin with $

// A SUBSCRIBE carries a topic filter: does a rule cover it, whatever it may match?
console.log(filterCoversFilter('plant/+', 'plant/#')) // false: plant/7/temp would be let through
console.log(filtersCoverFilter(['plant', 'plant/+/#'], 'plant/#')) // true: the two do it together

console.log(topicFilterProblem('plant/#/temp')) // hash_not_last

const acl = compileAcl({
  publishAcl: [{ pattern: 'plant/%c/#', maxQos: 1 }],
  subscribeAcl: [{ pattern: 'plant/+/temp' }],
})
const principal = { mountpoint: '', clientId: '7', username: 'sensor' }
console.log(acl.authorizePublish(principal, 'plant/7/temp', { qos: 1 }).allow) // true
console.log(acl.authorizePublish(principal, 'plant/7/temp', { qos: 2 })) // refused, with the rule and the limit it missed
console.log(acl.authorizeSubscribe(principal, 'plant/#')) // refused, with the nearest rule
