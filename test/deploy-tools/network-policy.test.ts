import { isDeepStrictEqual } from 'node:util';
import { beforeAll, describe, expect, it } from 'vitest';
import { stringify } from 'yaml';
import { SETTINGS, VALUES } from './chart-values.ts';
import { type DeployTools, installTools } from './install-tools.ts';
import { renderChart, renderText } from './render-chart.ts';

let tools: DeployTools;
beforeAll(async () => {
  tools = await installTools();
});
const render = (name: string) => renderChart(tools, VALUES[name] as object);

interface Peer {
  readonly namespaceSelector?: { readonly matchLabels: Readonly<Record<string, string>> };
  readonly podSelector?: {
    readonly matchExpressions: readonly { key: string; operator: string; values: string[] }[];
  };
}

describe('the network policy', () => {
  it('lets nothing out but to what it is told of, and the name servers', async () => {
    const { the } = await render('everything');
    const { egress, ingress, policyTypes } = the('NetworkPolicy').spec;
    expect(policyTypes).toEqual(['Ingress', 'Egress']);
    const tcp = (port: number | string) => [{ port, protocol: 'TCP' }];
    const block = (cidr: string) => [{ ipBlock: { cidr } }];
    expect(egress.slice(1)).toEqual([
      { ports: tcp(443), to: [{ ipBlock: { cidr: '192.0.2.0/24', except: ['192.0.2.8/32'] } }] },
      { ports: tcp(443), to: block('192.0.2.7/32') },
      { ports: tcp('https'), to: [{ podSelector: { matchLabels: { app: 'dex' } } }] },
      {
        ports: tcp(6379),
        to: [
          {
            namespaceSelector: { matchLabels: { team: 'data' } },
            podSelector: { matchLabels: { app: 'valkey' } },
          },
        ],
      },
      { ports: tcp(4318), to: block('10.1.2.4/32') },
      { ports: tcp(3128), to: block('10.1.2.5/32') },
      { ports: tcp(8443), to: [{ namespaceSelector: {} }] },
    ]);
    expect(ingress).toEqual([
      { ports: tcp('http'), from: [{ namespaceSelector: { matchLabels: { team: 'web' } } }] },
      { ports: tcp('metrics'), from: [{ podSelector: { matchLabels: { app: 'prometheus' } } }] },
    ]);
    const least = (await render('the least')).the('NetworkPolicy').spec;
    expect(least.egress).toHaveLength(1);
    // Nobody scrapes who was not named.
    expect(JSON.stringify(least.ingress)).not.toContain('metrics');
    const pod = (await render('pod identity')).the('NetworkPolicy').spec;
    expect(pod.egress.slice(1)).toEqual([{ ports: tcp(80), to: block('169.254.170.23/32') }]);
  });

  it.each([
    ['CCE', { 'k8s-app': 'coredns' }, 'kube-system', 5353, true],
    ['kubeadm', { 'k8s-app': 'kube-dns' }, 'kube-system', 53, true],
    ['nobody', { 'k8s-app': 'coredns' }, 'other', 53, false],
    ['other pods', { 'k8s-app': 'metrics-server' }, 'kube-system', 53, false],
    ['other ports', { 'k8s-app': 'coredns' }, 'kube-system', 443, false],
  ])('lets out to the name server of %s', async (_whose, labels, namespace, port, isOpen) => {
    const [{ to, ports }] = (await render('the least')).the('NetworkPolicy').spec.egress;
    const isPeer = (to as Peer[]).some(
      ({ podSelector, namespaceSelector }) =>
        namespaceSelector?.matchLabels?.['kubernetes.io/metadata.name'] === namespace &&
        podSelector?.matchExpressions.every(
          ({ key, operator, values }) =>
            operator === 'In' && values.includes((labels as Record<string, string>)[key] as string),
        ),
    );
    for (const protocol of ['UDP', 'TCP'])
      expect(isPeer && ports.some((open: object) => isDeepStrictEqual(open, { port, protocol }))).toBe(
        isOpen,
      );
    expect(to).toContainEqual({ ipBlock: { cidr: '169.254.20.10/32' } });
  });

  it('takes other name servers, and none', async () => {
    const dnsOf = async (dns: string) =>
      (
        await renderText(
          tools,
          `${stringify({ settings: SETTINGS })}networkPolicy: { egress: { dns: ${dns} } }`,
        )
      ).the('NetworkPolicy').spec.egress;
    expect(await dnsOf('null')).toEqual([]);
    expect(await dnsOf('{ peers: [{ ipBlock: { cidr: 10.0.0.2/32 } }], ports: [5300] }')).toEqual([
      {
        ports: [
          { port: 5300, protocol: 'UDP' },
          { port: 5300, protocol: 'TCP' },
        ],
        to: [{ ipBlock: { cidr: '10.0.0.2/32' } }],
      },
    ]);
  });
});
