// The package describes its index only, which loads the limiters of every database; this is the file that it tells its
// users to import instead.

declare module 'rate-limiter-flexible/lib/RateLimiterRedis.js' {
  export { RateLimiterRedis as default } from 'rate-limiter-flexible'
}
