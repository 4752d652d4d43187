/** Where the process is in its life. Only a serving process takes traffic; all three can answer. */
export type Lifecycle = 'starting' | 'serving' | 'draining';

/** A named condition of readiness, asked at each probe. It must not call upstream: probes are frequent. */
export interface ReadinessCheck {
  readonly name: string;
  readonly isReady: () => boolean;
  /** What does not work although it may be ready, in words that anyone may read. Default: nothing. */
  readonly degraded?: () => readonly string[];
  /** Tries to make it ready, or whole, in the background, behind a pause of its own. Never rejects. */
  readonly recover?: () => Promise<void>;
}
