/** A file of a page for people. */
export interface PageFile {
  readonly body: Uint8Array<ArrayBuffer>;
  readonly contentType: string;
}

/** Files of a page, by path. */
export type PageFiles = Readonly<Record<string, () => Promise<PageFile>>>;
