import { parseArgs } from 'node:util';
import { CONTROL_PREFIX } from './control-api.ts';
import { startSimulator } from './simulator.ts';

const { values } = parseArgs({
  options: {
    port: { type: 'string', default: '0' },
    host: { type: 'string', default: '127.0.0.1' },
    json: { type: 'boolean', default: false },
  },
});

const port = Number(values.port);
if (!Number.isInteger(port) || port < 0 || port > 65_535) throw new Error('--port must be from 0 to 65535');

const simulator = await startSimulator({ port, host: values.host });
const control = `${simulator.url}${CONTROL_PREFIX}`;

// Before anything is printed: who starts this may stop it as soon as it has read the address.
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => void simulator.stop());

if (values.json) {
  console.log(JSON.stringify({ url: simulator.url, control, environment: simulator.environment }));
} else {
  const exports = Object.entries(simulator.environment).map(([name, value]) => `  export ${name}='${value}'`);
  console.log(`A stand-in for Huawei Cloud CCE listens on ${simulator.url}. Its key pair is invented.

Point the service, or an SDK client, at it:
${exports.join('\n')}

Let it misbehave (GET ${control} lists all endpoints):
  curl -X POST ${control}/script -d '{"times":3,"answer":{"kind":"refuse","error":"unavailable"}}'
  curl -X POST ${control}/script -d '{"times":"always","delayBeforeHeadersMs":2000}'
  curl -X DELETE ${control}/script
  curl -X POST ${control}/hold -d '{"gate":"demo"}'
  curl "${control}/arrived?gate=demo&count=1&timeoutMs=30000"
  curl -X POST ${control}/release -d '{"gate":"demo"}'
  curl -X PUT ${control}/clock -d '{"skewMs":1200000}'
  curl ${control}/count
  curl -X POST ${control}/reset

Ctrl-C stops it.`);
}
