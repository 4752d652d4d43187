import type { Server } from 'node:tls';
import type { TlsConfig } from '../../../config/config.ts';
import { createLastGood } from '../../../outbound/last-good.ts';
import { describeOutboundError, OutboundError } from '../../../outbound/outbound-error.ts';
import { readUntilTwoAgree } from '../../../outbound/read-until-two-agree.ts';
import { runWithin } from '../../../outbound/run-within.ts';
import type { Platform } from '../../../platform/platform.ts';
import {
  isoOf,
  readTlsMaterial,
  TlsFileError,
  type TlsMaterial,
  type TlsTexts,
  warningOf,
} from './tls-material.ts';

/** Interval at which the files are read: 1 second. */
const CHECK_MS = 1000;
/** A reading that takes longer, as on a mount that hangs, is given up: 1 second. */
const READ_TIMEOUT_MS = 1000;

export type FollowPlatform = Pick<
  Platform,
  'readTextFile' | 'now' | 'elapsed' | 'schedule' | 'waitUntil' | 'createSingleFlight' | 'logger'
>;

export interface TlsFollower {
  /** Reads the files, and has new connections use what is new. It runs every second by itself. Never rejects. */
  readonly check: () => Promise<void>;
}

/**
 * Has a server use the files of TLS as they are now, until it is closed. They are compared by content, so that any way of
 * replacing them is seen. Connections that are open keep what they have. While the files are gone, broken or do not fit each
 * other, the last good ones stay in use.
 *
 * @param initial what the server began with
 */
export function followTlsFiles(
  server: Pick<Server, 'setSecureContext' | 'on'>,
  { certFile, keyFile, clientCaFile }: TlsConfig,
  initial: TlsMaterial,
  platform: FollowPlatform,
): TlsFollower {
  const { readTextFile, schedule, logger } = platform;
  /** The certificate that was warned of. */
  let warned: TlsMaterial | undefined;

  async function readFiles(): Promise<TlsTexts> {
    const [cert, key, clientCa] = await Promise.all([
      readTextFile(certFile),
      readTextFile(keyFile),
      clientCaFile === undefined ? undefined : readTextFile(clientCaFile),
    ]);
    return { cert, key, clientCa };
  }

  async function load(): Promise<TlsMaterial> {
    const held = material.current() ?? initial;
    const readStable = () => readUntilTwoAgree(readFiles, held.texts, isSameTexts);
    const texts = await runWithin(READ_TIMEOUT_MS, schedule, readStable).catch((cause) => {
      throw new OutboundError('unreadable', { cause });
    });
    if (texts === undefined) throw new OutboundError('changing');
    if (isSameTexts(texts, held.texts)) return held;
    try {
      return readTlsMaterial(texts);
    } catch (error) {
      if (!(error instanceof TlsFileError)) throw error;
      throw new OutboundError(error.code, { cause: error });
    }
  }

  const material = createLastGood<TlsMaterial>(
    {
      load,
      initial,
      pauseMs: () => 0,
      isReportedOnce: true,
      onLoaded({ context, certificate }) {
        server.setSecureContext(context);
        logger.info({ expires: isoOf(certificate.validToDate) }, 'the files of TLS were replaced');
      },
      onFailed(error) {
        const { cause } = error as OutboundError;
        logger.warn(
          cause instanceof TlsFileError
            ? { reason: cause.code, setting: cause.setting }
            : describeOutboundError(error),
          'the files of TLS are not usable: the last good ones stay in use',
        );
      },
      onRecovered: () => logger.info({}, 'the files of TLS are good again'),
    },
    platform,
  );

  /** Once for each certificate: it may have expired while it was in use. */
  function warn(): void {
    const held = material.current() ?? initial;
    if (warned === held || warningOf(held, platform.now()) === undefined) return;
    warned = held;
    const { validFromDate, validToDate } = held.certificate;
    logger.warn(
      { setting: 'TLS_CERT_FILE', begins: isoOf(validFromDate), expires: isoOf(validToDate) },
      'the TLS certificate is not valid at this time: clients refuse it',
    );
  }

  async function check(): Promise<void> {
    await material.reload();
    warn();
  }

  warn();
  const timer = setInterval(() => void check(), CHECK_MS).unref();
  server.on('close', () => clearInterval(timer));
  return { check };
}

function isSameTexts(a: TlsTexts, b: TlsTexts): boolean {
  return a.cert === b.cert && a.key === b.key && a.clientCa === b.clientCa;
}
