export interface Credential { readonly accessKeyId: string; readonly secretAccessKey: string; readonly securityToken?: string | undefined; readonly expiresAtMs?: number }
export type CredentialProvider = () => Credential | Promise<Credential>;
export function staticCredentialProvider(credential: Credential): CredentialProvider { return () => credential; }
