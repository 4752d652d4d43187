/** Where the process is in its life. Only a serving process takes traffic; all three can answer. */
export type Lifecycle = 'starting' | 'serving' | 'draining';

/** A named condition of readiness, asked at each probe. It must not call upstream: probes are frequent. */
export interface ReadinessCheck {
  readonly name: string;
  readonly isReady: () => boolean;
  /** Tries to make it ready, in the background, behind a pause of its own. Never rejects. */
  readonly recover?: () => Promise<void>;
}
