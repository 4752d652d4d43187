/** SIGTERM and SIGINT, from the first moment on. */
export interface StopSignals {
  /** What a signal does from now on, once. Before the first call it ends the process with 0: there is nothing to stop yet. */
  onStop(stop: () => void): void;
}

/** Listens for signals. The second one ends the process at once, with 1: who asks twice means now. */
export function listenForStop(): StopSignals {
  let received = 0;
  let stop = (): void => process.exit(0);
  const receive = (): void => {
    received += 1;
    if (received > 1) process.exit(1);
    stop();
  };
  process.on('SIGTERM', receive);
  process.on('SIGINT', receive);
  return {
    onStop(next) {
      stop = next;
    },
  };
}
