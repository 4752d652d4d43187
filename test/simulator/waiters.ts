interface Waiter {
  isDone: () => boolean;
  resolve: () => void;
  reject: (error: Error) => void;
}

/** Promises that resolve once a condition holds; the owner calls `check` whenever it may have changed. */
export class Waiters {
  private waiting: Waiter[] = [];

  /** Resolves when `isDone` is true, at once if it is already. */
  until(isDone: () => boolean): Promise<void> {
    if (isDone()) return Promise.resolve();
    const promise = new Promise<void>((resolve, reject) => {
      this.waiting.push({ isDone, resolve, reject });
    });
    // A test that no longer awaits must not fail with an unhandled rejection when the simulator stops.
    promise.catch(() => {});
    return promise;
  }

  check(): void {
    const done = this.waiting.filter((waiter) => waiter.isDone());
    this.waiting = this.waiting.filter((waiter) => !done.includes(waiter));
    for (const waiter of done) waiter.resolve();
  }

  /** Rejects all who still wait. */
  rejectAll(error: Error): void {
    const waiting = this.waiting;
    this.waiting = [];
    for (const waiter of waiting) waiter.reject(error);
  }
}
