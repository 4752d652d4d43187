import { parseRule, type Rule, type RuleInput } from './behaviours.ts';

export interface MatchableRequest {
  method: string;
  path: string;
  query: URLSearchParams;
  reusedSocket: boolean;
}

interface QueuedRule {
  rule: Rule;
  left: number;
  /** Taken out of the queue when this gate is released. */
  untilReleased: string | undefined;
}

/** The queue of rules. The first one that matches a request is used, and is gone after its last use. */
export class Script {
  private queue: QueuedRule[] = [];

  /** Adds rules to the end of the queue; none is added when one is bad. */
  add(inputs: readonly RuleInput[], untilReleased?: string): void {
    const rules = inputs.map(parseRule);
    for (const rule of rules) {
      const left = rule.times === 'always' ? Number.POSITIVE_INFINITY : rule.times;
      this.queue.push({ rule, left, untilReleased });
    }
  }

  find(request: MatchableRequest): Rule | undefined {
    return this.queue.find(({ rule }) => matches(rule, request))?.rule;
  }

  /** Counts one use of a rule that `find` gave. */
  use(rule: Rule): void {
    const queued = this.queue.find((entry) => entry.rule === rule);
    if (queued === undefined) return;
    queued.left -= 1;
    if (queued.left === 0) this.queue = this.queue.filter((entry) => entry !== queued);
  }

  /** Takes out the rules that were only there to hold requests at this gate. */
  gateReleased(gate: string): void {
    this.queue = this.queue.filter((entry) => entry.untilReleased !== gate);
  }

  clear(): void {
    this.queue = [];
  }

  /** The rules still in the queue, with the number of uses left (null: until cleared). */
  pending(): { rule: Rule; left: number | null }[] {
    return this.queue.map(({ rule, left }) => ({ rule, left: Number.isFinite(left) ? left : null }));
  }
}

function matches({ match }: Rule, request: MatchableRequest): boolean {
  if (match.method !== undefined && match.method !== request.method) return false;
  if (match.path !== undefined && match.path !== request.path) return false;
  if (match.name !== undefined && match.name !== request.query.get('name')) return false;
  return match.reusedSocket === undefined || match.reusedSocket === request.reusedSocket;
}
