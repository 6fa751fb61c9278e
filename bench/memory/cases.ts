/** What one process of the memory bench fills itself with. */
export type MemoryCase =
  | { readonly fill: 'sessions'; readonly count: number }
  | { readonly fill: 'clients'; readonly count: number; readonly isProtected: boolean }
  | {
      readonly fill: 'records'
      readonly count: number
      readonly sameRules: boolean
      readonly held: 'parsed' | 'cached' | 'used'
    }
  | { readonly fill: 'topics'; readonly count: number }
