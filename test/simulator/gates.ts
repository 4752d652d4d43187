import { Waiters } from './waiters.ts';

interface Gate {
  isOpen: boolean;
  arrived: number;
  abandoned: number;
  /** One for each request that waits, oldest first. */
  waiting: (() => void)[];
}

/** Named places where requests wait until a test lets them go on. */
export class Gates {
  private readonly gates = new Map<string, Gate>();
  private readonly waiters = new Waiters();

  /** Closes an open gate, and counts arrivals from zero again. A gate is closed at first. */
  close(name: string): void {
    const gate = this.gateOf(name);
    if (!gate.isOpen) return;
    gate.isOpen = false;
    gate.arrived = 0;
    gate.abandoned = 0;
  }

  /** Opens a gate for all, or with a count lets that many go, oldest first, and keeps it closed. */
  release(name: string, count?: number): void {
    const gate = this.gateOf(name);
    if (count === undefined) gate.isOpen = true;
    for (const goOn of gate.waiting.splice(0, count ?? gate.waiting.length)) goOn();
  }

  releaseAll(): void {
    for (const name of this.gates.keys()) this.release(name);
  }

  /** Resolves when at least `count` requests have arrived since the gate was last closed. */
  arrived(name: string, count = 1): Promise<void> {
    const gate = this.gateOf(name);
    return this.waiters.until(() => gate.arrived >= count);
  }

  /** Resolves when at least `count` clients went away while they were held. */
  abandoned(name: string, count = 1): Promise<void> {
    const gate = this.gateOf(name);
    return this.waiters.until(() => gate.abandoned >= count);
  }

  /** A request waits here. False when its client went away meanwhile. */
  pass(name: string, signal: AbortSignal): Promise<boolean> {
    const gate = this.gateOf(name);
    gate.arrived += 1;
    const passed = new Promise<boolean>((resolve) => {
      if (signal.aborted) return resolve(false);
      if (gate.isOpen) return resolve(true);
      const leave = () => {
        gate.waiting.splice(gate.waiting.indexOf(goOn), 1);
        gate.abandoned += 1;
        resolve(false);
        this.waiters.check();
      };
      const goOn = () => {
        signal.removeEventListener('abort', leave);
        resolve(true);
      };
      gate.waiting.push(goOn);
      signal.addEventListener('abort', leave, { once: true });
    });
    this.waiters.check();
    return passed;
  }

  /** Lets all go and forgets every gate. */
  reset(): void {
    this.releaseAll();
    this.gates.clear();
    this.waiters.rejectAll(new Error('the simulator was reset or stopped'));
  }

  private gateOf(name: string): Gate {
    const known = this.gates.get(name);
    if (known !== undefined) return known;
    const gate: Gate = { isOpen: false, arrived: 0, abandoned: 0, waiting: [] };
    this.gates.set(name, gate);
    return gate;
  }
}
