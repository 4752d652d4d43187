import type { Metric, MetricObjectWithValues, MetricValueWithName, Registry } from 'prom-client';

export interface TalliedHistogramOptions<Label extends string> {
  readonly name: string;
  readonly help: string;
  readonly labelNames: readonly Label[];
  /** Upper bounds in rising order, in units of the metric; +Inf is added. */
  readonly buckets: readonly number[];
}

/** One set of labels of a histogram. */
export interface HistogramSeries {
  /** Counts a value, in units of the metric. */
  observe(value: number): void;
}

/**
 * A histogram for the hit path, rendered by prom-client's registry like one of its own. prom-client's own sorts and
 * joins the labels at each observation; with two observations a request that was a tenth of a cache hit.
 */
export class TalliedHistogram<Label extends string> {
  readonly #options: TalliedHistogramOptions<Label>;
  readonly #series: { readonly labels: Readonly<Partial<Record<Label, string>>>; readonly tally: Tally }[] =
    [];

  constructor(options: TalliedHistogramOptions<Label>, registry: Registry) {
    this.#options = options;
    // The registry asks a metric for its name and, at each scrape, for get(); its types ask for a class of its own.
    const metric = { name: options.name, get: () => Promise.resolve(this.#render()) };
    registry.registerMetric(metric as unknown as Metric);
  }

  /** Adds a series. The caller keeps it, and asks once for each set of labels. */
  addSeries(labels: Readonly<Partial<Record<Label, string>>>): HistogramSeries {
    const tally = new Tally(this.#options.buckets);
    this.#series.push({ labels, tally });
    return tally;
  }

  #render(): MetricObjectWithValues<MetricValueWithName<Label | 'le'>> {
    const { name, help } = this.#options;
    const values: MetricValueWithName<Label | 'le'>[] = [];
    for (const { labels, tally } of this.#series) {
      const bounds: (number | string)[] = [...this.#options.buckets, '+Inf'];
      let cumulated = 0;
      for (const [index, le] of bounds.entries()) {
        cumulated += tally.counts[index] as number;
        values.push({
          metricName: `${name}_bucket`,
          labels: { le, ...labels } as MetricValueWithName<Label | 'le'>['labels'],
          value: cumulated,
        });
      }
      const own = labels as MetricValueWithName<Label | 'le'>['labels'];
      values.push({ metricName: `${name}_sum`, labels: own, value: tally.sum });
      values.push({ metricName: `${name}_count`, labels: own, value: cumulated });
    }
    // prom-client declares the type as a const enum, which cannot be imported; the text is what it prints.
    return { name, help, type: 'histogram', aggregator: 'sum', values } as unknown as MetricObjectWithValues<
      MetricValueWithName<Label | 'le'>
    >;
  }
}

class Tally implements HistogramSeries {
  readonly #bounds: readonly number[];
  /** For each bucket the values in it and in no lower one; the last is for +Inf. */
  readonly counts: number[];
  sum = 0;

  constructor(bounds: readonly number[]) {
    this.#bounds = bounds;
    this.counts = new Array<number>(bounds.length + 1).fill(0);
  }

  observe(value: number): void {
    const bounds = this.#bounds;
    let index = 0;
    while (index < bounds.length && value > (bounds[index] as number)) index += 1;
    (this.counts[index] as number) += 1;
    this.sum += value;
  }
}
